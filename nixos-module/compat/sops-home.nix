# `sops.*` as sops-nix has it for home-manager.
{
  lib,
  config,
  options,
  pkgs,
  ...
}@args:
import ./sops.nix (args // { secretctlScope = "home"; })
