# Whether the file system of a path is there before any unit has run. Pure: the configuration and a path in, the
# mount point that is not, or null, out.
{ lib, config }:
let
  inherit (builtins)
    attrNames
    elem
    filter
    foldl'
    stringLength
    ;
  fileSystems = config.fileSystems or { };
  # What NixOS mounts at the very beginning in any case.
  always = [
    "/"
    "/nix"
    "/nix/store"
    "/var"
    "/var/log"
    "/var/lib"
    "/var/lib/nixos"
    "/etc"
    "/usr"
  ];
in
path:
let
  holds = mountPoint: lib.hasPrefix "${lib.removeSuffix "/" mountPoint}/" path;
  nearest = foldl' (a: b: if stringLength b > stringLength a then b else a) "/" (
    filter holds (attrNames fileSystems)
  );
in
if elem nearest always || fileSystems.${nearest}.neededForBoot or false then null else nearest
