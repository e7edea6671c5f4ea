# What may stand around a definition: conditions, priorities and order.
lib:
let
  inherit (builtins)
    concatMap
    filter
    foldl'
    isAttrs
    map
    mapAttrs
    sort
    ;
  typeOf = definition: if isAttrs definition then definition._type or "" else "";
in
{
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOptionDefault = lib.mkOverride 1500;
  mkDefault = lib.mkOverride 1000;
  mkImageMediaOverride = lib.mkOverride 60;
  mkVMOverride = lib.mkOverride 10;
  mkForce = lib.mkOverride 50;
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkBefore = lib.mkOrder 500;
  mkAfter = lib.mkOrder 1500;

  # The values of a definition, each with its priority and place.
  discharge =
    definition:
    let
      type = typeOf definition;
    in
    if type == "merge" then
      concatMap lib.discharge definition.contents
    else if type == "if" then
      lib.optionals definition.condition (lib.discharge definition.content)
    else if type == "override" then
      map (one: one // { inherit (definition) priority; }) (lib.discharge definition.content)
    else if type == "order" then
      map (one: one // { order = definition.priority; }) (lib.discharge definition.content)
    else
      [
        {
          value = definition;
          priority = 100;
          order = 1000;
        }
      ];
  # Those that count: of the strongest priority, in order.
  resolve =
    definitions:
    let
      found = concatMap lib.discharge definitions;
      strongest = foldl' (least: one: if one.priority < least then one.priority else least) 9999 found;
      counting = filter (one: one.priority == strongest) found;
    in
    map (one: one.value) (sort (a: b: a.order < b.order) counting);

  # A set of definitions with properties around it, as sets with properties inside.
  pushDown =
    definition:
    let
      type = typeOf definition;
    in
    if type == "merge" then
      concatMap lib.pushDown definition.contents
    else if type == "if" then
      map (mapAttrs (_: lib.mkIf definition.condition)) (lib.pushDown definition.content)
    else if type == "override" then
      map (mapAttrs (_: lib.mkOverride definition.priority)) (lib.pushDown definition.content)
    else
      [ definition ];
}
