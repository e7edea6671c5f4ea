# The page of all options, made of their declarations:
#
#   nix-instantiate --eval --json --arg lib 'import <nixpkgs/lib>' reference.nix
{ lib }:
let
  inherit (builtins)
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    isAttrs
    isBool
    isInt
    isList
    isString
    listToAttrs
    map
    toJSON
    ;

  scopes = {
    nixos = "NixOS";
    darwin = "nix-darwin";
    home = "home-manager";
  };

  # All options of a scope, by name.
  optionsOf =
    scope:
    let
      inherit (lib.evalModules {
        modules = [ (import ./scoped.nix scope ./options.nix) ] ++ lib.optional (scope == "nixos") ./scan.nix;
      }) options;
      listed =
        set:
        concatLists (
          map (
            option:
            if (option._type or "") == "option" then
              [
                {
                  name = concatStringsSep "." option.loc;
                  value = option;
                }
              ]
              ++ listed (option.type.getSubOptions option.loc)
            else
              listed option
          ) (attrValues (builtins.removeAttrs set [ "_module" ]))
        );
    in
    listToAttrs (filter isPublic (listed { inherit (options) secretctl; }));
  isPublic = one: !(one.value.internal or false);

  perScope = builtins.mapAttrs (scope: _: optionsOf scope) scopes;

  # A value as Nix has it.
  print =
    indent: value:
    let
      deeper = "${indent}  ";
    in
    if isAttrs value && value ? _type then
      lib.removeSuffix "\n" value.text
    else if value == null then
      "null"
    else if isBool value || isInt value || isString value then
      toJSON value
    else if isList value then
      if value == [ ] then "[ ]" else "[ ${concatStringsSep " " (map (print deeper) value)} ]"
    else if value == { } then
      "{ }"
    else
      "{\n${
        lib.concatMapStrings (name: "${deeper}${lib.strings.escapeNixIdentifier name} = ${print deeper value.${name}};\n") (
          attrNames value
        )
      }${indent}}";

  defaultOf = option: if option ? defaultText then option.defaultText else option.default;
  hasDefault = option: option ? defaultText || option ? default;

  # {option}`x` is the markup of the manual of NixOS.
  plain = builtins.replaceStrings [ "{option}" ] [ "" ];

  section =
    name:
    let
      found = filter (scope: perScope.${scope} ? ${name}) [
        "nixos"
        "darwin"
        "home"
      ];
      option = perScope.${builtins.head found}.${name};
      missing = filter (scope: !(elem scope found)) (attrNames scopes);
      others = filter (
        scope:
        let
          other = perScope.${scope}.${name};
        in
        hasDefault other && print "" (defaultOf other) != print "" (defaultOf option)
      ) (builtins.tail found);
    in
    ''

      ## `${name}`

      ${lib.removeSuffix "\n" (plain option.description)}

    ''
    + "- type: ${option.type.description}\n"
    + lib.optionalString (option.readOnly or false) "- read-only\n"
    + lib.optionalString (hasDefault option && !(option.readOnly or false)) (
      "- default: " + inline (defaultOf option) + "\n"
    )
    + lib.concatMapStrings (
      scope: "- default in ${scopes.${scope}}: ${inline (defaultOf perScope.${scope}.${name})}\n"
    ) others
    + lib.optionalString (missing != [ ]) (
      "- not in ${lib.concatMapStringsSep " and " (scope: scopes.${scope}) missing}\n"
    )
    + lib.optionalString (option ? example) ("- example:\n\n" + block option.example);

  inline = value: "`${print "" value}`";
  block = value: "```nix\n${print "" value}\n```\n";
  names = lib.unique (concatMap attrNames (attrValues perScope));
in
''
  # Options

  <!-- Made from the declarations in `nixos-module/options.nix`; do not edit. -->

  What the modules for NixOS, nix-darwin and home-manager take. `<name>` is a name of your choice, or that of a
  systemd service. Unless an option says otherwise, it is in all three.
''
+ lib.concatMapStrings section (builtins.sort (a: b: a < b) names)
