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
  platform ? if system == "nix-darwin" then "aarch64-darwin" else "x86_64-linux",
  lib ? import (
    let
      named = builtins.getEnv "NIXPKGS_LIB";
    in
    if named == "" then ./lib else named
  ),
}:
let
  pkgs = import ../../tests/nix/pkgs.nix {
    inherit lib;
    system = platform;
  };
  # What home-manager has in its `lib`: what is done at a switch, and after what.
  withHome = lib // {
    hm.dag = {
      entryAnywhere = data: {
        inherit data;
        after = [ ];
        before = [ ];
      };
      entryAfter = after: data: {
        inherit after data;
        before = [ ];
      };
      entryBefore = before: data: {
        inherit before data;
        after = [ ];
      };
    };
  };
  evaluated = lib.evalModules {
    class =
      {
        nixos = "nixos";
        home-manager = "homeManager";
        nix-darwin = "darwin";
      }
      .${system};
    specialArgs = lib.optionalAttrs (system == "home-manager") { lib = withHome; };
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
    inherit (config.secretctl) manifest;
    # where the units look for it
    manifestPath = "${config.secretctl.manifestFile}";
    # the messages of those that fail
    assertions = map (one: one.message) (builtins.filter (one: !one.assertion) config.assertions);
    inherit (config) warnings;
  }
  // lib.optionalAttrs (system == "nixos") {
    # { "x.service" = the text of it; }
    units = builtins.mapAttrs (_: unit: unit.text) config.systemd.units;
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
    activation = config.system.activationScripts.script;
    preSwitchChecks = config.system.preSwitchChecks or { };
  }
  // lib.optionalAttrs (system == "home-manager") {
    inherit (config.home) activation;
    units = config.systemd.user.services;
    inherit (config.launchd) agents;
  }
  // lib.optionalAttrs (system == "nix-darwin") {
    inherit (config.launchd) daemons;
    activation = builtins.mapAttrs (_: one: one.text) config.system.activationScripts;
  };
}
