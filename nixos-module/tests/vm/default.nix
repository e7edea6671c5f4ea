# The tests in virtual machines, one behaviour a file, by the name of the file. They need KVM to be quick.
{ pkgs }:
let
  inherit (pkgs) lib;
  isTest = name: type: type == "regular" && name != "default.nix" && lib.hasSuffix ".nix" name;
in
lib.mapAttrs' (name: _: {
  name = lib.removeSuffix ".nix" name;
  value = pkgs.testers.runNixOSTest (./. + "/${name}");
}) (lib.filterAttrs isTest (builtins.readDir ./.))
