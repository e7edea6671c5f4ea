# Texts.
lib:
let
  inherit (builtins)
    concatStringsSep
    filter
    isString
    length
    map
    match
    replaceStrings
    split
    stringLength
    substring
    toString
    ;
  strings = {
    optionalString = condition: text: if condition then text else "";
    concatStrings = concatStringsSep "";
    concatMapStrings = f: list: lib.concatStrings (map f list);
    concatMapStringsSep =
      separator: f: list:
      concatStringsSep separator (map f list);
    concatLines = lib.concatMapStrings (line: line + "\n");

    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      let
        rest = stringLength text - stringLength suffix;
      in
      rest >= 0 && substring rest (stringLength suffix) text == suffix;
    hasInfix = infix: text: length (split (lib.escapeRegex infix) text) > 1;
    removePrefix =
      prefix: text:
      if lib.hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
    removeSuffix =
      suffix: text:
      if lib.hasSuffix suffix text then
        substring 0 (stringLength text - stringLength suffix) text
      else
        text;
    splitString = separator: text: filter isString (split (lib.escapeRegex separator) text);
    stringToCharacters =
      text: builtins.genList (i: substring i 1 text) (stringLength text);

    escape = characters: replaceStrings characters (map (c: "\\" + c) characters);
    escapeRegex = lib.escape (lib.stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg =
      argument:
      let
        text = toString argument;
      in
      if match "[[:alnum:],._+:@%/-]+" text != null then
        text
      else
        "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";
    escapeShellArgs = lib.concatMapStringsSep " " lib.escapeShellArg;
    escapeNixIdentifier =
      name: if match "[a-zA-Z_][a-zA-Z0-9_'-]*" name != null then name else builtins.toJSON name;

    # Texts of activation scripts.
    fullDepEntry = text: deps: { inherit text deps; };
    stringAfter = deps: text: { inherit text deps; };
    noDepEntry = text: {
      inherit text;
      deps = [ ];
    };

    versionAtLeast = a: b: builtins.compareVersions a b >= 0;
    versionOlder = a: b: builtins.compareVersions a b < 0;
  };
in
strings
// {
  strings = strings // {
    inherit (builtins) concatStringsSep toJSON;
  };
}
