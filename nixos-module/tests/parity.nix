# The options below some roots, with type and default, as plain values: what the compatible faces are
# compared by with the modules that they stand in for. Always with the small `lib`, whose types describe
# themselves in the same words for both.
{
  # as for eval.nix; elements of sets of submodules that are looked into are called NAME here
  system,
  modules,
  # options to walk through: [ [ "age" ] ]
  roots,
  # what a submodule needs to be looked into: { "age.secrets" = { file = ./x; }; }
  examples ? { },
  # options that have no default, and get a value from `modules`
  given ? [ ],
}:
let
  lib = import ./lib;
  inherit (builtins)
    attrNames
    concatLists
    concatStringsSep
    elem
    isAttrs
    isList
    isPath
    isString
    map
    toJSON
    tryEval
    ;
  evaluated = import ./eval.nix { inherit system modules lib; };

  # Without what differs from machine to machine.
  withoutHash =
    text:
    let
      parts = builtins.split "${builtins.storeDir}/[0-9a-z]{32}-" (
        builtins.unsafeDiscardStringContext text
      );
    in
    lib.concatMapStrings (part: if isList part then "store:" else part) parts;
  show =
    value:
    if lib.isFunction value then
      "a function"
    else if isPath value then
      "a path"
    else if lib.isDerivation value then
      "package ${builtins.head (builtins.split "-[0-9]" value.name)}"
    else if isString value then
      toJSON (withoutHash value)
    else if isList value then
      "[ ${lib.concatMapStrings (item: "${show item} ") value}]"
    else if isAttrs value then
      "{ ${lib.concatMapStrings (name: "${name} = ${show value.${name}}; ") (attrNames value)}}"
    else
      toJSON value;
  # An option that has to be set throws.
  attempt =
    value:
    let
      tried = tryEval (builtins.deepSeq (show value) (show value));
    in
    if tried.success then tried.value else "none";

  walk =
    path: option:
    let
      name = concatStringsSep "." path;
      inherit (option) type;
      default =
        if option ? default then
          attempt option.default
        else if elem name given then
          "none"
        else
          attempt option.value;
      inside = type.nested or (type.inner or type);
      element = lib.evalModules {
        modules = inside.modules ++ [
          { _module.args.name = lib.mkOptionDefault "NAME"; }
          { config = examples.${name} or { }; }
        ];
        prefix = path;
      };
      below = if type ? nested then path ++ [ "<name>" ] else path;
    in
    if !(lib.isOption option) then
      concatLists (
        map (part: walk (path ++ [ part ]) option.${part}) (
          builtins.filter (part: part != "_module") (attrNames option)
        )
      )
    else
      [
        {
          inherit name;
          value = {
            type = if option.isRenamed or false then "another name" else type.description;
            inherit default;
          };
        }
      ]
      ++ lib.optionals (inside ? modules) (walk below element.options);
in
builtins.listToAttrs (
  concatLists (map (root: walk root (lib.getAttrFromPath root evaluated.options)) roots)
)
