# `age.*` as agenix has it for home-manager.
{
  lib,
  config,
  options,
  pkgs,
  ...
}@args:
import ./age.nix (args // { secretctlScope = "home"; })
