# Lists, and what is taken as it is from Nix.
lib:
let
  inherit (builtins)
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    head
    isList
    length
    ;
in
{
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    baseNameOf
    catAttrs
    concatLists
    concatMap
    concatStringsSep
    deepSeq
    dirOf
    elem
    elemAt
    filter
    foldl'
    fromJSON
    functionArgs
    genList
    getAttr
    groupBy
    hasAttr
    head
    intersectAttrs
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    partition
    readFile
    removeAttrs
    replaceStrings
    seq
    sort
    split
    stringLength
    substring
    tail
    toJSON
    toString
    trace
    tryEval
    typeOf
    unsafeDiscardStringContext
    ;

  # also sets that can be called
  isFunction = f: builtins.isFunction f || (f ? __functor && lib.isFunction (f.__functor f));

  id = x: x;
  const = x: _: x;
  flip =
    f: a: b:
    f b a;

  foldr =
    f: start: list:
    foldl' (all: x: f x all) start (lib.reverseList list);
  warn = message: builtins.trace "warning: ${message}";
  warnIf = condition: message: if condition then lib.warn message else lib.id;
  throwIf = condition: message: if condition then throw message else lib.id;
  throwIfNot = condition: lib.throwIf (!condition);
  assertMsg = condition: message: condition || throw message;

  optional = condition: x: if condition then [ x ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  toList = x: if isList x then x else [ x ];
  flatten = x: if isList x then concatMap lib.flatten x else [ x ];
  take = n: list: genList (elemAt list) (if n < length list then n else length list);
  drop = n: list: genList (i: elemAt list (n + i)) (if n < length list then length list - n else 0);
  last = list: elemAt list (length list - 1);
  init = list: genList (elemAt list) (length list - 1);
  range = first: last: genList (i: first + i) (last - first + 1);
  reverseList = list: genList (i: elemAt list (length list - 1 - i)) (length list);
  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  subtractLists = without: filter (x: !elem x without);
  imap0 = f: list: genList (i: f i (elemAt list i)) (length list);
  findFirst =
    fits: default: list:
    let
      found = filter fits list;
    in
    if found == [ ] then default else head found;
}
