# Sets of attributes.
lib:
let
  inherit (builtins)
    attrNames
    concatMap
    foldl'
    head
    isAttrs
    listToAttrs
    map
    mapAttrs
    tail
    ;
in
{
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (name: lib.nameValuePair name (f name)) names);
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (lib.mapAttrsToList f set);
  filterAttrs =
    keeps: set:
    listToAttrs (
      concatMap (name: lib.optional (keeps name set.${name}) (lib.nameValuePair name set.${name})) (
        attrNames set
      )
    );
  optionalAttrs = condition: set: if condition then set else { };
  attrByPath =
    path: default: set:
    if path == [ ] then
      set
    else if isAttrs set && set ? ${head path} then
      lib.attrByPath (tail path) default set.${head path}
    else
      default;
  getAttrFromPath = path: lib.attrByPath path (throw "there is no attribute ${lib.showOption path}");
  hasAttrByPath =
    path: set:
    path == [ ] || (isAttrs set && set ? ${head path} && lib.hasAttrByPath (tail path) set.${head path});
  setAttrByPath =
    path: value:
    if path == [ ] then value else { ${head path} = lib.setAttrByPath (tail path) value; };
  recursiveUpdate =
    old: new:
    old
    // mapAttrs (
      name: value:
      if isAttrs value && isAttrs (old.${name} or null) then lib.recursiveUpdate old.${name} value else value
    ) new;
  zipAttrsWith =
    f: sets:
    lib.genAttrs (lib.unique (concatMap attrNames sets)) (
      name: f name (concatMap (set: lib.optional (set ? ${name}) set.${name}) sets)
    );
  foldlAttrs =
    f: start: set:
    foldl' (all: name: f all name set.${name}) start (attrNames set);
}
