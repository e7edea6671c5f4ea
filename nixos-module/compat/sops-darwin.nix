# `sops.*` as sops-nix has it for nix-darwin.
{
  lib,
  config,
  options,
  pkgs,
  ...
}@args:
import ./sops.nix (args // { secretctlScope = "darwin"; })
