# Types of options: what they take, and how several definitions become one value.
lib:
let
  inherit (builtins)
    all
    any
    attrNames
    concatLists
    concatStringsSep
    elem
    foldl'
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    length
    map
    mapAttrs
    match
    storeDir
    tail
    toJSON
    ;
  inherit (lib) mkOptionType;

  plain =
    name: check:
    mkOptionType {
      inherit name check;
      descriptionClass = "noun";
    };
  withClass = descriptionClass: type: type // { inherit descriptionClass; };
  # How a type is called inside of the name of another.
  phrase =
    classes: type:
    if elem (type.descriptionClass or null) classes then type.description else "(${type.description})";

  joined =
    name: separator:
    mkOptionType {
      inherit name;
      descriptionClass = "noun";
      check = isString;
      merge = _: concatStringsSep separator;
    };
  isInStore = text: lib.hasPrefix "${storeDir}/" text;
  isAbsolute = x: isString x && lib.hasPrefix "/" x;
  isStringLike = x: isString x || (isAttrs x && (x ? outPath || x ? __toString));

  # Several definitions of one value, properties resolved.
  mergeValues =
    loc: type: values:
    let
      wrong = lib.filter (value: !type.check value) values;
    in
    if wrong != [ ] then
      throw "A definition for option `${lib.showOption loc}' is not of type `${type.description}'. Definition values: ${show (head wrong)}"
    else
      type.merge loc values;
  show =
    value:
    if isFunction value then
      "<function>"
    else if isAttrs value then
      "{ ${toString (attrNames value)} }"
    else
      toJSON value;

  attrsOf =
    type:
    mkOptionType {
      name = "attribute set of ${
        phrase [
          "noun"
          "composite"
        ] type
      }";
      descriptionClass = "composite";
      check = isAttrs;
      nested = type;
      getSubOptions = prefix: type.getSubOptions (prefix ++ [ "<name>" ]);
      merge =
        loc: definitions:
        let
          resolved = lib.zipAttrsWith (_: lib.resolve) definitions;
          # what a condition leaves out is not there at all
          present = lib.filterAttrs (_: values: values != [ ]) resolved;
        in
        mapAttrs (name: mergeValues (loc ++ [ name ]) type) present;
    };
  submoduleWith =
    {
      modules,
      specialArgs ? { },
      ...
    }:
    let
      evaluate =
        prefix: name: more:
        lib.evalModules {
          modules = modules ++ [ { _module.args.name = lib.mkOptionDefault name; } ] ++ more;
          inherit specialArgs prefix;
        };
      module = value: if isFunction value || isPath value then value else { config = value; };
    in
    mkOptionType {
      name = "submodule";
      check = x: isAttrs x || isFunction x || isPath x;
      inherit modules;
      getSubOptions = prefix: (evaluate prefix "<name>" [ ]).options;
      merge = loc: definitions: (evaluate loc (lib.last loc) (map module definitions)).config;
    };
in
{
  inherit mergeValues;

  # Two declarations of one option: what submodules declare is joined.
  mergeDeclarations =
    let
      mergeTypes =
        a: b:
        if a ? nested && b ? nested then
          attrsOf (mergeTypes a.nested b.nested)
        else if a ? modules && b ? modules then
          submoduleWith { modules = a.modules ++ b.modules; }
        else
          b;
    in
    a: b: a // b // lib.optionalAttrs (a ? type && b ? type) { type = mergeTypes a.type b.type; };

  types = rec {
    inherit attrsOf mkOptionType submoduleWith;
    attrsWith = arguments: attrsOf arguments.elemType;
    lazyAttrsOf = attrsOf;
    submodule = module: submoduleWith { modules = lib.toList module; };
    deferredModule = mkOptionType {
      name = "module";
      descriptionClass = "noun";
      merge = _: imports: { inherit imports; };
    };

    bool = plain "boolean" isBool;
    int = plain "signed integer" isInt;
    number = plain "number" (x: isInt x || isFloat x);
    float = plain "floating point number" isFloat;
    ints = {
      unsigned = withClass "nonRestrictiveClause" (
        plain "unsigned integer, meaning >=0" (x: isInt x && x >= 0)
      );
      positive = withClass "nonRestrictiveClause" (
        plain "positive integer, meaning >0" (x: isInt x && x > 0)
      );
      between =
        least: most:
        plain "integer between ${toString least} and ${toString most} (both inclusive)" (
          x: isInt x && x >= least && x <= most
        );
    };
    port = plain "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (
      x: isInt x && x >= 0 && x < 65536
    );

    str = plain "string" isString;
    nonEmptyStr = plain "non-empty string" (x: isString x && match "[[:space:]]*" x == null);
    singleLineStr =
      plain "(optionally newline-terminated) single-line string" (
        x: isString x && match "[^\n\r]*\n?" x != null
      )
      // {
        merge = loc: values: lib.removeSuffix "\n" (lib.mergeEqualOption loc values);
      };
    strMatching =
      pattern: plain "string matching the pattern ${pattern}" (x: isString x && match pattern x != null);
    lines = joined "strings concatenated with \"\\n\"" "\n";
    commas = joined "strings concatenated with \",\"" ",";
    separatedString = separator: joined "strings concatenated with ${toJSON separator}" separator;
    enum =
      values:
      withClass "conjunction" (
        plain "one of ${lib.concatMapStringsSep ", " toJSON values}" (x: elem x values)
      );

    path = plain "absolute path" (
      x: isPath x || (isStringLike x && lib.hasPrefix "/" (toString x))
    );
    externalPath = plain "absolute path not in the Nix store" (
      x: isAbsolute x && !isInStore (builtins.unsafeDiscardStringContext x)
    );
    pathInStore = plain "path in the Nix store" (x: isPath x || (isStringLike x && isInStore (toString x)));
    package = plain "package" (
      x: lib.isDerivation x || (isStringLike x && isInStore (toString x))
    );

    listOf =
      type:
      mkOptionType {
        name = "list of ${
          phrase [
            "noun"
            "composite"
          ] type
        }";
        descriptionClass = "composite";
        check = isList;
        getSubOptions = prefix: type.getSubOptions (prefix ++ [ "*" ]);
        merge =
          loc: definitions:
          let
            item =
              i: j: value:
              let
                values = lib.resolve [ value ];
                place = loc ++ [ "[definition ${toString (i + 1)}-entry ${toString (j + 1)}]" ];
              in
              lib.optional (values != [ ]) (mergeValues place type values);
          in
          concatLists (lib.imap0 (i: list: concatLists (lib.imap0 (item i) list)) definitions);
      };
    nonEmptyListOf = type: addCheck (listOf type) (list: list != [ ]);
    nullOr =
      type:
      mkOptionType {
        name = "null or ${
          phrase [
            "noun"
            "conjunction"
          ] type
        }";
        descriptionClass = "conjunction";
        inner = type;
        check = x: x == null || type.check x;
        inherit (type) getSubOptions;
        merge =
          loc: values:
          if all (value: value == null) values then
            null
          else if any (value: value == null) values then
            throw "The option `${lib.showOption loc}' is defined both null and not null"
          else
            type.merge loc values;
      };
    either =
      one: other:
      let
        classes = [
          "noun"
          "conjunction"
        ];
      in
      mkOptionType {
        name = "${phrase classes one} or ${phrase (classes ++ [ "composite" ]) other}";
        descriptionClass = "conjunction";
        check = x: one.check x || other.check x;
        merge =
          loc: values:
          if all one.check values then
            one.merge loc values
          else if all other.check values then
            other.merge loc values
          else
            lib.mergeEqualOption loc values;
      };
    oneOf = types: foldl' either (head types) (tail types);
    addCheck = type: check: type // { check = x: type.check x && check x; };
    coercedTo =
      from: convert: to:
      mkOptionType {
        name = "${to.description} or ${from.description} convertible to it";
        check = x: (from.check x && to.check (convert x)) || to.check x;
        merge = loc: values: to.merge loc (map (x: if from.check x then convert x else x) values);
      };
    functionTo =
      type:
      mkOptionType {
        name = "function that evaluates to a(n) ${type.description}";
        check = lib.isFunction;
        # a set that can be called, as the real one gives
        merge = loc: functions: {
          __functor = _: argument: mergeValues loc type (map (f: f argument) functions);
          __functionArgs = { };
        };
      };

    raw = mkOptionType {
      name = "raw value";
      descriptionClass = "noun";
      merge =
        loc: values: if length values == 1 then head values else lib.mergeEqualOption loc values;
    };
    unspecified = mkOptionType {
      name = "unspecified value";
      descriptionClass = "noun";
      merge = loc: values: if length values == 1 then head values else anything.merge loc values;
    };
    anything = mkOptionType {
      name = "anything";
      descriptionClass = "noun";
      merge =
        loc: values:
        if all (value: isAttrs value && !lib.isDerivation value) values then
          (attrsOf anything).merge loc values
        else if all isList values && length values > 1 then
          concatLists values
        else
          lib.mergeEqualOption loc values;
    };
    attrs = mkOptionType {
      name = "attribute set";
      descriptionClass = "noun";
      check = isAttrs;
      merge = _: foldl' (all: set: all // set) { };
    };
  };
}
