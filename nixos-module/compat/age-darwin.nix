# `age.*` as agenix has it for nix-darwin.
{
  lib,
  config,
  options,
  pkgs,
  ...
}@args:
import ./age.nix (args // { secretctlScope = "darwin"; })
