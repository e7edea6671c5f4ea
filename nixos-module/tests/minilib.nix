# A small stand-in for the part of nixpkgs lib that the options of this project use, so that
# tests can evaluate them with nothing but Nix. No code of nixpkgs is in it.
let
  b = builtins;
  lib = rec {
    inherit (b) groupBy attrNames attrValues concatLists concatMap concatStringsSep elem elemAt filter foldl' fromJSON genList
      getAttr hasAttr head intersectAttrs isAttrs isBool isFloat isFunction isInt isList isPath isString length listToAttrs map
      mapAttrs match readFile removeAttrs replaceStrings sort split stringLength substring tail toJSON tryEval unsafeDiscardStringContext any all functionArgs seq deepSeq trace baseNameOf dirOf typeOf toString isNull;
    id = x: x; const = x: _: x; flip = f: x: y: f y x;
    # lists
    optional = c: x: if c then [ x ] else [ ]; optionals = c: x: if c then x else [ ];
    toList = x: if isList x then x else [ x ]; take = n: l: genList (elemAt l) (if n < length l then n else length l); drop = n: l: genList (i: elemAt l (n + i)) (if n < length l then length l - n else 0); flatten = x: if isList x then concatMap flatten x else [ x ];
    reverseList = l: let n = length l; in genList (i: elemAt l (n - 1 - i)) n; last = l: elemAt l (length l - 1); init = l: genList (elemAt l) (length l - 1);
    unique = foldl' (acc: x: if elem x acc then acc else acc ++ [ x ]) [ ];
    foldr = f: z: l: let n = length l; go = i: if i == n then z else f (elemAt l i) (go (i + 1)); in go 0;
    imap0 = f: l: genList (i: f i (elemAt l i)) (length l); findFirst = p: d: l: let r = filter p l; in if r == [ ] then d else head r;
    subtractLists = a: filter (x: !elem x a); partition = b.partition; range = a: z: genList (i: a + i) (z - a + 1); naturalSort = sort (a: c: a < c);
    # attrsets
    nameValuePair = name: value: { inherit name value; }; genAttrs = ns: f: listToAttrs (map (n: nameValuePair n (f n)) ns);
    mapAttrsToList = f: s: map (n: f n s.${n}) (attrNames s); filterAttrs = p: s: listToAttrs (concatMap (n: optional (p n s.${n}) (nameValuePair n s.${n})) (attrNames s));
    mapAttrs' = f: s: listToAttrs (mapAttrsToList f s); optionalAttrs = c: s: if c then s else { }; concatMapAttrs = f: s: foldl' (a: n: a // f n s.${n}) { } (attrNames s);
    attrByPath = p: d: s: if p == [ ] then s else if isAttrs s && s ? ${head p} then attrByPath (tail p) d s.${head p} else d;
    hasAttrByPath = p: s: p == [ ] || (isAttrs s && s ? ${head p} && hasAttrByPath (tail p) s.${head p}); getAttrFromPath = p: s: attrByPath p (throw "no attribute ${showOption p}") s;
    setAttrByPath = p: v: if p == [ ] then v else { ${head p} = setAttrByPath (tail p) v; };
    recursiveUpdate = a: c: a // mapAttrs (n: v: if a ? ${n} && isAttrs v && isAttrs a.${n} then recursiveUpdate a.${n} v else v) c;
    zipAttrsWith = f: ss: genAttrs (unique (concatMap attrNames ss)) (n: f n (concatMap (s: optional (s ? ${n}) s.${n}) ss)); foldlAttrs = f: z: s: foldl' (a: n: f a n s.${n}) z (attrNames s);
    isDerivation = x: (x.type or null) == "derivation"; attrVals = ns: s: map (n: s.${n}) ns; catAttrs = b.catAttrs; mapAttrsRecursive = f: let go = p: mapAttrs (n: v: if isAttrs v then go (p ++ [ n ]) v else f (p ++ [ n ]) v); in go [ ];
    getExe = p: "${p}/bin/${p.meta.mainProgram or p.pname or p.name}"; getExe' = p: n: "${p}/bin/${n}"; getBin = p: p.bin or p;
    # strings
    optionalString = c: s: if c then s else ""; concatStrings = concatStringsSep ""; concatMapStrings = f: l: concatStrings (map f l); concatMapStringsSep = s: f: l: concatStringsSep s (map f l);
    concatLines = concatMapStrings (l: l + "\n"); hasPrefix = p: s: substring 0 (stringLength p) (toString s) == p; hasInfix = i: s: length (split (escapeRegex i) (toString s)) > 1;
    hasSuffix = x: s: let n = stringLength s; m = stringLength x; in n >= m && substring (n - m) m s == x; removePrefix = p: s: if hasPrefix p s then substring (stringLength p) (stringLength s) s else s;
    removeSuffix = x: s: if hasSuffix x s then substring 0 (stringLength s - stringLength x) s else s; splitString = sep: s: filter isString (split (escapeRegex sep) s);
    stringToCharacters = s: genList (i: substring i 1 s) (stringLength s); escape = cs: replaceStrings cs (map (c: "\\" + c) cs); escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg = a: let s = toString a; in if match "[[:alnum:],._+:@%/-]+" s != null then s else "'${replaceStrings [ "'" ] [ "'\\''" ] s}'"; escapeShellArgs = concatMapStringsSep " " escapeShellArg;
    makeSearchPath = sub: ps: concatStringsSep ":" (map (p: "${p}/${sub}") ps); makeBinPath = makeSearchPath "bin"; hasSuffixAny = xs: s: any (x: hasSuffix x s) xs; toLower = s: s; getName = x: if isAttrs x then x.pname or (b.parseDrvName x.name).name else (b.parseDrvName x).name;
    warn = m: v: trace "warning: ${m}" v; warnIf = c: m: if c then warn m else id; throwIf = c: m: if c then throw m else id; throwIfNot = c: throwIf (!c); assertMsg = c: m: c || throw m;
    path = { hasStorePathPrefix = p: hasPrefix (b.storeDir + "/") (toString p); }; versionAtLeast = a: c: b.compareVersions a c >= 0; versionOlder = a: c: b.compareVersions a c < 0;
    strings = lib // { escapeNixIdentifier = s: if match "[a-zA-Z_][a-zA-Z0-9_'-]*" s != null then s else toJSON s; }; lists = lib; attrsets = lib; trivial = lib // { release = "26.11"; }; modules = lib; options = lib;
    generators.toPretty = _: v: toJSON v; stringAfter = deps: text: { inherit text deps; }; noDepEntry = text: { inherit text; deps = [ ]; }; fullDepEntry = text: deps: { inherit text deps; };
    literalExpression = text: { _type = "literalExpression"; inherit text; }; literalMD = literalExpression; mdDoc = id;
    # packages
    importTOML = file: b.fromTOML (readFile file); licenses = { asl20 = "asl20"; mit = "mit"; };
    fileset.unions = parts: parts;
    fileset.toSource = { root, fileset }: let below = a: c: hasPrefix (a + "/") c; in b.path {
      path = root; name = "source";
      filter = file: type: any (part: toString part == file || below (toString part) file || (type == "directory" && below file (toString part))) fileset; };
    # module properties
    mkIf = condition: content: { _type = "if"; inherit condition content; }; mkMerge = contents: { _type = "merge"; inherit contents; };
    mkOverride = priority: content: { _type = "override"; inherit priority content; }; mkDefault = mkOverride 1000; mkForce = mkOverride 50; mkOptionDefault = mkOverride 1500; mkImageMediaOverride = mkOverride 60; mkVMOverride = mkOverride 10;
    mkOrder = priority: content: { _type = "order"; inherit priority content; }; mkBefore = mkOrder 500; mkAfter = mkOrder 1500;
    mkOption = a: { _type = "option"; } // a; mkEnableOption = n: mkOption { type = types.bool; default = false; description = "Whether to enable ${n}."; };
    mkPackageOption = pkgs: n: a: mkOption { type = types.package; default = pkgs.${toString (a.default or n)}; };
    showOption = concatStringsSep "."; isType = t: x: (x._type or "") == t; isOption = isType "option";
    mergeEqualOption = loc: vs: if all (v: v == head vs) vs then head vs else throw "The option `${showOption loc}' has conflicting definition values";
    mkOptionType = a: { _type = "option-type"; check = _: true; merge = mergeEqualOption; description = a.name; getSubOptions = _: { }; } // a;
    mkRenamedOptionModule = from: to: { config, options, ... }: let o = attrByPath from { isDefined = false; } options; in {
      options = setAttrByPath from (mkOption { visible = false; apply = _: getAttrFromPath to config; });
      config = setAttrByPath to (mkIf o.isDefined (mkMerge o.definitions)) // { }; };
    mkRemovedOptionModule = from: why: { options, ... }: { options = setAttrByPath from (mkOption { visible = false; apply = _: throw "option `${showOption from}' was removed: ${why}"; }); };
    mkAliasOptionModule = mkRenamedOptionModule;
    # a definition with its properties resolved: list of { v; prio; ord; }
    discharge = d: let t = if isAttrs d then d._type or "" else ""; in
      if t == "merge" then concatMap discharge d.contents
      else if t == "if" then (if d.condition then discharge d.content else [ ])
      else if t == "override" then map (x: x // { prio = d.priority; }) (discharge d.content)
      else if t == "order" then map (x: x // { ord = d.priority; }) (discharge d.content)
      else [ { v = d; prio = 100; ord = 1000; } ];
    resolve = defs: let all' = concatMap discharge defs; low = foldl' (m: x: if x.prio < m then x.prio else m) 9999 all'; top = filter (x: x.prio == low) all';
      in map (x: x.v) (sort (x: y: x.ord < y.ord) top);
    mergeDefs = loc: type: vs: let bad = filter (v: !type.check v) vs; in
      if bad != [ ] then throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values: ${tryShow (head bad)}" else type.merge loc vs;
    tryShow = v: if isFunction v then "<function>" else if isAttrs v then "{ ${concatStringsSep " " (attrNames v)} }" else toJSON v;
    types = let
      t = name: check: mkOptionType { inherit name check; descriptionClass = "noun"; };
      # How a type is called inside of the name of another.
      phrase = classes: type: if elem (type.descriptionClass or null) classes then type.description else "(${type.description})";
      elem' = loc: type: defs: let vs = resolve defs; in mergeDefs loc type vs;
      isStr = x: isString x || isDerivationLike x; isDerivationLike = x: isAttrs x && x ? __toString;
      strLike = name: sep: mkOptionType { inherit name; descriptionClass = "noun"; check = isString; merge = _: concatStringsSep sep; };
      sub = { modules, specialArgs ? { }, shorthandOnlyDefinesConfig ? false, ... }: mkOptionType {
        name = "submodule"; check = x: isAttrs x || isFunction x || isPath x; inherit modules;
        getSubOptions = prefix: (evalModules { modules = modules ++ [ { _module.args.name = mkOptionDefault "<name>"; } ]; inherit specialArgs prefix; }).options;
        merge = loc: vs: (evalModules { modules = modules ++ [ { _module.args.name = mkOptionDefault (last loc); } ] ++ map (v: if isFunction v || isPath v then v else { config = v; }) vs; inherit specialArgs; prefix = loc; }).config; };
      attrs' = elemType: mkOptionType { name = "attribute set of ${phrase [ "noun" "composite" ] elemType}"; descriptionClass = "composite"; check = isAttrs; nested = elemType;
        getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "<name>" ]);
        merge = loc: vs: mapAttrs (_: v: v.value) (filterAttrs (_: v: v ? value) (zipAttrsWith (n: ds: let r = resolve ds; in if r == [ ] then { } else { value = mergeDefs (loc ++ [ n ]) elemType r; }) vs)); };
    in {
      str = t "string" isString; singleLineStr = t "(optionally newline-terminated) single-line string" (x: isString x && match "[^\n\r]*\n?" x != null) // { merge = loc: vs: removeSuffix "\n" (mergeEqualOption loc vs); }; nonEmptyStr = t "non-empty string" (x: isString x && x != ""); int = t "signed integer" isInt; float = t "float" isFloat; number = t "number" (x: isInt x || isFloat x); port = t "16 bit unsigned integer" (x: isInt x && x >= 0 && x < 65536);
      bool = t "boolean" isBool; path = t "absolute path" (x: isPath x || isDerivation x || (isString x && hasPrefix "/" x) || (isAttrs x && x ? outPath)); externalPath = t "absolute path not in the Nix store" (x: isString x && hasPrefix "/" x && !hasPrefix (b.storeDir + "/") x); pathInStore = t "store path" (x: isPath x || hasPrefix b.storeDir (toString x));
      package = t "package" (x: isDerivation x || (isAttrs x && x ? outPath) || (isString x && hasPrefix b.storeDir x)); shellPackage = types.package;
      enum = vs: t "one of ${concatStringsSep ", " (map toJSON vs)}" (x: elem x vs) // { descriptionClass = "conjunction"; }; strMatching = re: t "string matching the pattern ${re}" (x: isString x && match re x != null); ints = { unsigned = t "unsigned integer, meaning >=0" (x: isInt x && x >= 0) // { descriptionClass = "nonRestrictiveClause"; }; positive = t "positive integer, meaning >0" (x: isInt x && x > 0) // { descriptionClass = "nonRestrictiveClause"; }; between = lo: hi: t "integer between" (x: isInt x && x >= lo && x <= hi); u16 = t "u16" isInt; };
      lines = strLike "strings concatenated with \"\\n\"" "\n"; commas = strLike "comma-separated string" ","; envVar = strLike "env var" ":"; separatedString = strLike "separated string";
      unspecified = mkOptionType { name = "unspecified value"; merge = loc: vs: if length vs == 1 then head vs else types.anything.merge loc vs; }; raw = mkOptionType { name = "raw value"; descriptionClass = "noun"; merge = loc: vs: if length vs == 1 then head vs else mergeEqualOption loc vs; };
      anything = mkOptionType { name = "anything"; merge = loc: vs: if all (v: isAttrs v && !isDerivation v) vs then (types.attrsOf types.anything).merge loc vs else if all isList vs && length vs > 1 then concatLists vs else mergeEqualOption loc vs; };
      attrs = mkOptionType { name = "attribute set"; check = isAttrs; merge = _: foldl' (a: v: a // v) { }; }; attrsOf = attrs'; lazyAttrsOf = attrs'; attrsWith = a: attrs' a.elemType;
      listOf = e: mkOptionType { name = "list of ${phrase [ "noun" "composite" ] e}"; descriptionClass = "composite"; getSubOptions = prefix: e.getSubOptions (prefix ++ [ "*" ]); check = isList; merge = loc: vs: concatLists (imap0 (i: l: concatLists (imap0 (j: x: let r = resolve [ x ]; in if r == [ ] then [ ] else [ (mergeDefs (loc ++ [ "[definition ${toString i}-entry ${toString j}]" ]) e r) ]) l)) vs); };
      nonEmptyListOf = e: types.addCheck (types.listOf e) (l: l != [ ]);
      nullOr = e: mkOptionType { name = "null or ${phrase [ "noun" "conjunction" ] e}"; descriptionClass = "conjunction"; inherit (e) getSubOptions; inner = e; check = x: x == null || e.check x; merge = loc: vs: if all (v: v == null) vs then null else if any (v: v == null) vs then throw "The option `${showOption loc}' is defined both null and not null" else e.merge loc vs; };
      either = l: r: mkOptionType { name = "${phrase [ "noun" "conjunction" ] l} or ${phrase [ "noun" "conjunction" "composite" ] r}"; descriptionClass = "conjunction"; check = x: l.check x || r.check x; merge = loc: vs: if all l.check vs then l.merge loc vs else if all r.check vs then r.merge loc vs else mergeEqualOption loc vs; };
      oneOf = ts: foldl' types.either (head ts) (tail ts); addCheck = e: c: e // { check = x: e.check x && c x; }; coercedTo = from: f: to: mkOptionType { name = "${to.description} or ${from.description} convertible to it"; check = x: (from.check x && to.check (f x)) || to.check x; merge = loc: vs: to.merge loc (map (v: if from.check v then f v else v) vs); };
      functionTo = e: mkOptionType { name = "function to ${e.description}"; check = isFunction; merge = loc: fs: x: mergeDefs loc e (map (f: f x) fs); };
      submodule = m: sub { modules = toList m; }; submoduleWith = sub; deferredModule = mkOptionType { name = "module"; merge = _: vs: { imports = vs; }; }; optionType = types.raw;
    };
    # Two declarations of one option: what submodules declare is joined.
    mergeTypes = a: c: if a ? nested && c ? nested then types.attrsOf (mergeTypes a.nested c.nested)
      else if a ? modules && c ? modules then types.submoduleWith { modules = a.modules ++ c.modules; } else c;
    mergeDeclarations = a: c: a // c // optionalAttrs (a ? type && c ? type) { type = mergeTypes a.type c.type; };
    evalModules = { modules, specialArgs ? { }, prefix ? [ ], class ? null, ... }: let
      base = { inherit lib config options; } // specialArgs;
      call = f: f (base // mapAttrs (n: _: base.${n} or config._module.args.${n}) (functionArgs f));
      # A module that is given by its path is taken once, however many import it. The definitions of a module
      # stand behind those of whatever it imports, and before those of the modules that are given before it.
      load = key: m: let
          given = isPath m || isString m; f = if given then import m else m;
          r = if isFunction f || (isAttrs f && f ? __functor) then call f else f;
          shared = { key = if given then toString m else key; imports = r.imports or [ ]; };
        in if elem (r._type or "") [ "if" "merge" "override" ] then shared // { options = { }; config = r; free = null; imports = [ ]; }
        else if r ? options || r ? config then shared // { options = r.options or { }; config = r.config or { }; free = r.freeformType or null; }
        else shared // { options = { }; config = removeAttrs r [ "imports" "_file" "key" "_class" "disabledModules" "freeformType" ]; free = r.freeformType or null; };
      own = { options._module = { args = mkOption { type = types.lazyAttrsOf types.raw; default = { }; internal = true; }; check = mkOption { type = types.bool; default = true; internal = true; }; freeformType = mkOption { type = types.nullOr types.raw; default = null; internal = true; }; }; };
      ms = reverseList (b.genericClosure { startSet = imap0 (i: load "module ${toString i}") ([ own ] ++ modules); operator = m: imap0 (i: load "${m.key}:${toString i}") m.imports; });
      frees = filter (x: x != null) (map (m: m.free) ms); free = if frees != [ ] then head frees else null;
      # the option tree: leaf = list of declarations
      tree = ts: let os = concatMap toList ts; in zipAttrsWith (n: vs: if any isOption vs then foldl' mergeDeclarations { } vs else tree vs) os;
      opts = tree (map (m: m.options) ms);
      push = d: let ty = if isAttrs d then d._type or "" else ""; in
        if ty == "merge" then concatMap push d.contents
        else if ty == "if" then map (mapAttrs (_: v: mkIf d.condition v)) (push d.content)
        else if ty == "override" then map (mapAttrs (_: v: mkOverride d.priority v)) (push d.content)
        else [ d ];
      eval = loc: os: defs: let
          byName = zipAttrsWith (_: vs: vs) (concatMap push defs);
          known = mapAttrs (n: o: let ds = byName.${n} or [ ]; in
            if isOption o then leaf (loc ++ [ n ]) o ds else eval (loc ++ [ n ]) o ds) os;
          extra = removeAttrs byName (attrNames os);
        in { _tree = true; inherit known extra; };
      leaf = loc: o: ds: let
          vs = resolve (ds ++ optional (o ? default && all (x: x.prio >= 1500) own) (mkOptionDefault o.default)); type = o.type or types.unspecified;
          own = concatMap discharge ds;
          value = if vs == [ ] then (if o ? apply && o.visible or true == false then null else if (type.name or "") == "submodule" then type.merge loc [ { } ] else throw "The option `${showOption loc}' is used but not defined.")
            else if (o.readOnly or false) && length own + (if o ? default then 1 else 0) > 1 then throw "The option `${showOption loc}' is read-only, but it's set multiple times." else mergeDefs loc type vs;
        in removeAttrs o [ "apply" ] // { _leaf = true; _type = "option"; inherit loc type; isDefined = own != [ ]; definitions = map (x: x.v) own; value = if o ? apply then o.apply value else value; } // (if o ? default then { inherit (o) default; } else { });
      evald = eval prefix opts (map (m: m.config) ms);
      values = loc: e: mapAttrs (n: x: if x ? _leaf then x.value else values (loc ++ [ n ]) x) e.known
        // (if e.extra == { } then { } else if free != null && loc == prefix then free.merge loc [ (mapAttrs (_: ds: mkMerge ds) e.extra) ]
            else if all (ds: concatMap discharge ds == [ ]) (attrValues e.extra) then { } else throw "The option `${showOption (loc ++ [ (head (attrNames e.extra)) ])}' does not exist.");
      optTree = e: mapAttrs (_: x: if x ? _leaf then x else optTree x) e.known;
      config = values prefix evald; options = optTree evald;
    in { config = removeAttrs config [ "_module" ]; inherit options; _type = "configuration"; extendModules = a: evalModules { modules = modules ++ a.modules; specialArgs = specialArgs // (a.specialArgs or { }); inherit prefix; }; };
  };
in lib
