# Where a file of the machine really lies, when impermanence or preservation puts it there: their
# links and mounts come up later than secrets may be needed. Pure: a configuration and a path in, a path
# out.
{ lib, config }:
let
  inherit (builtins)
    attrValues
    concatMap
    isAttrs
    filter
    head
    map
    ;
  roots =
    attrValues (config.environment.persistence or { })
    ++ attrValues (config.preservation.preserveAt or { });
  kept =
    root:
    let
      place = item: if isAttrs item then item.filePath or item.dirPath or item.file or item.directory else item;
    in
    if !(root.enable or true) then
      [ ]
    else
      map (item: {
        root = lib.removeSuffix "/" root.persistentStoragePath;
        path = place item;
      }) (root.files or [ ] ++ root.directories or [ ]);
  all = concatMap kept roots;
in
path:
let
  covers = item: item.path == path || lib.hasPrefix "${lib.removeSuffix "/" item.path}/" path;
  found = filter covers all;
in
if found == [ ] then path else "${(head found).root}${path}"
