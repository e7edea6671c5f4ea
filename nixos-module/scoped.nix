# A module of this folder for another scope than NixOS.
scope: file:
{
  lib,
  config,
  pkgs,
  ...
}@args:
import file (args // { secretctlScope = scope; })
