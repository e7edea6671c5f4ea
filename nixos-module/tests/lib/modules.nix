# The module system: modules in, options and their values out.
lib:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    filter
    foldl'
    functionArgs
    genericClosure
    head
    isAttrs
    isFunction
    isPath
    isString
    length
    map
    mapAttrs
    removeAttrs
    toString
    ;
  inherit (lib)
    discharge
    isOption
    mkOption
    types
    ;

  # What every configuration has of its own.
  ours = {
    options._module =
      mapAttrs
        (
          _: option:
          mkOption (
            option
            // {
              internal = true;
            }
          )
        )
        {
          args = {
            type = types.lazyAttrsOf types.raw;
            default = { };
          };
          check = {
            type = types.bool;
            default = true;
          };
          freeformType = {
            type = types.nullOr types.raw;
            default = null;
          };
        };
  };

  aboutTheModule = [
    "imports"
    "_file"
    "key"
    "_class"
    "disabledModules"
    "freeformType"
  ];
  # One module as options, configuration and imports. One that is given by its path has it as its key.
  load =
    call: key: given:
    let
      isFile = isPath given || isString given;
      written = if isFile then import given else given;
      isCalled = isFunction written || (isAttrs written && written ? __functor);
      module = if isCalled then call written else written;
      isProperty = elem (module._type or "") [
        "if"
        "merge"
        "override"
      ];
      isSplit = module ? options || module ? config;
    in
    {
      key = if isFile then toString given else key;
      imports = if isProperty then [ ] else module.imports or [ ];
      options = if isSplit && !isProperty then module.options or { } else { };
      config =
        if isProperty then
          module
        else if isSplit then
          module.config or { }
        else
          removeAttrs module aboutTheModule;
      freeformType = if isProperty then null else module.freeformType or null;
    };
  # All modules, each once, however many import it. The definitions of a module come behind those of what it
  # imports, and before those of modules that are given before it.
  collect =
    call: modules:
    lib.reverseList (genericClosure {
      startSet = lib.imap0 (i: load call "module ${toString i}") ([ ours ] ++ modules);
      operator = module: lib.imap0 (i: load call "${module.key}:${toString i}") module.imports;
    });

  # The declarations of all modules as one tree.
  declarations =
    trees:
    lib.zipAttrsWith (
      _: parts: if lib.any isOption parts then foldl' lib.mergeDeclarations { } parts else declarations parts
    ) (concatMap lib.toList trees);

  # A declared option with its value.
  leaf =
    loc: option: definitions:
    let
      type = option.type or types.unspecified;
      own = concatMap discharge definitions;
      # looked at only if it counts
      defaults = lib.optional (option ? default && lib.all (one: one.priority >= 1500) own) (
        lib.mkOptionDefault option.default
      );
      values = lib.resolve (definitions ++ defaults);
      name = lib.showOption loc;
      value =
        if values == [ ] then
          if option ? apply && option.visible or true == false then
            null
          else if type.name == "submodule" then
            type.merge loc [ { } ]
          else
            throw "The option `${name}' was accessed but has no value defined."
        else if option.readOnly or false && length own > (if option ? default then 0 else 1) then
          throw "The option `${name}' is read-only, but it's set multiple times."
        else
          lib.mergeValues loc type values;
    in
    removeAttrs option [ "apply" ]
    // {
      _type = "option";
      inherit loc type;
      isDefined = own != [ ];
      definitions = map (one: one.value) own;
      value = if option ? apply then option.apply value else value;
    };
  # The tree of options with values, and beside each level what is defined without being declared.
  evaluate =
    loc: tree: definitions:
    let
      byName = lib.zipAttrsWith (_: values: values) (concatMap lib.pushDown definitions);
      branch =
        name: part:
        let
          build = if isOption part then leaf else evaluate;
        in
        build (loc ++ [ name ]) part (byName.${name} or [ ]);
    in
    {
      known = mapAttrs branch tree;
      undeclared = lib.filterAttrs (_: values: concatMap discharge values != [ ]) (
        removeAttrs byName (attrNames tree)
      );
    };
  optionsOf =
    level: mapAttrs (_: part: if isOption part then part else optionsOf part) level.known;
  valuesOf =
    freeformTypes: loc: level:
    mapAttrs (
      name: part: if isOption part then part.value else valuesOf [ ] (loc ++ [ name ]) part
    ) level.known
    // (
      if freeformTypes != [ ] then
        (head freeformTypes).merge loc [ (mapAttrs (_: lib.mkMerge) level.undeclared) ]
      else if level.undeclared == { } then
        { }
      else
        throw "The option `${lib.showOption (loc ++ [ (head (attrNames level.undeclared)) ])}' does not exist."
    );
in
{
  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
      ...
    }:
    let
      base = { inherit lib config options; } // specialArgs;
      call = f: f (base // mapAttrs (name: _: base.${name} or config._module.args.${name}) (functionArgs f));
      loaded = collect call modules;
      freeformTypes = filter (type: type != null) (map (module: module.freeformType) loaded);
      level = evaluate prefix (declarations (map (module: module.options) loaded)) (
        map (module: module.config) loaded
      );
      config = valuesOf freeformTypes prefix level;
      options = optionsOf level;
    in
    {
      _type = "configuration";
      config = removeAttrs config [ "_module" ];
      inherit options;
      extendModules =
        more:
        lib.evalModules {
          modules = modules ++ more.modules;
          specialArgs = specialArgs // (more.specialArgs or { });
          inherit prefix;
        };
    };
}
