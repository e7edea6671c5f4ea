# Modules, evaluated with as much of NixOS as they touch, and what is made of them, as plain values:
#
#   nix-instantiate --eval --strict --json -A out --arg modules '[ ../nixos.nix ./host.nix ]' eval.nix
#
# `lib` is that of the folder `NIXPKGS_LIB`, and a small one without that. A package can be a folder of
# this machine: `secretctl.package = (import ./eval.nix { }).folder "/opt/secretctl";`.
{
  modules ? [ ],
  # "nixos", "home-manager" or "nix-darwin"
  system ? "nixos",
  lib ? import (
    let
      named = builtins.getEnv "NIXPKGS_LIB";
    in
    if named == "" then ./minilib.nix else named
  ),
}:
let
  pkgs = import ../../tests/nix/pkgs.nix {
    inherit lib;
    system = if system == "nix-darwin" then "aarch64-darwin" else "x86_64-linux";
  };
  evaluated = lib.evalModules {
    class =
      {
        nixos = "nixos";
        home-manager = "homeManager";
        nix-darwin = "darwin";
      }
      .${system};
    modules = [
      (./stand-in + "/${system}.nix")
      { _module.args = { inherit pkgs; }; }
    ]
    ++ modules;
  };
  inherit (evaluated) config options;
in
{
  inherit
    lib
    pkgs
    config
    options
    ;
  inherit (evaluated) extendModules;

  folder = path: {
    type = "derivation";
    name = baseNameOf path;
    outPath = path;
  };

  out = {
    # { "x.service" = the text of it; }
    units = builtins.mapAttrs (_: unit: unit.text) (config.systemd.units or { });
    # the links that NixOS makes beside them: { "sysinit.target.wants" = [ "x.service" ]; }
    links =
      let
        links =
          kind: attribute:
          builtins.concatLists (
            lib.mapAttrsToList (
              name: unit:
              map (target: {
                name = "${target}.${kind}";
                value = name;
              }) unit.${attribute}
            ) config.systemd.units
          );
        all = links "wants" "wantedBy" ++ links "requires" "requiredBy";
      in
      builtins.mapAttrs (_: map (link: link.value)) (builtins.groupBy (link: link.name) all);
    inherit (config.secretctl) manifest;
    # where the units look for it
    manifestPath = "${config.secretctl.manifestFile}";
    # the messages of those that fail
    assertions = map (one: one.message) (builtins.filter (one: !one.assertion) config.assertions);
    inherit (config) warnings;
    activation = config.system.activationScripts.script or "";
    preSwitchChecks = config.system.preSwitchChecks or { };
  };
}
