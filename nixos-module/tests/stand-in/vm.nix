# As much of the test driver of NixOS as evaluates a test: its machines, each of their other
# configurations, and the script, without running any.
{ lib, pkgs }:
test:
let
  inherit (lib) mkOption types;
  written = if builtins.isPath test then import test else test;
  module = if builtins.isFunction written then written { inherit lib pkgs; } else written;
  any = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };
  base = {
    imports = [ ./nixos.nix ];
    options = {
      specialisation = mkOption {
        type = types.attrsOf (
          types.submodule {
            options.configuration = mkOption {
              type = types.deferredModule;
              default = { };
            };
          }
        );
        default = { };
      };
      virtualisation.emptyDiskImages = mkOption {
        type = types.listOf types.int;
        default = [ ];
      };
      virtualisation.fileSystems = any;
      environment.variables = any;
      system.switch.enable = mkOption {
        type = types.bool;
        default = false;
      };
      system.preSwitchChecks = mkOption {
        type = types.attrsOf types.str;
        default = { };
      };
    };
    config._module.args = { inherit pkgs; };
  };
  machines = builtins.mapAttrs (
    _: machine:
    lib.evalModules {
      modules = [
        base
        machine
      ];
    }
  ) module.nodes;
  # The system of a machine, and that of each of its other configurations.
  systems =
    machine:
    [ machine.config.system.build.toplevel ]
    ++ lib.mapAttrsToList (
      _: other: (machine.extendModules { modules = [ other.configuration ]; }).config.system.build.toplevel
    ) machine.config.specialisation;
  script =
    if builtins.isFunction module.testScript then
      module.testScript {
        nodes = builtins.mapAttrs (_: machine: machine.config) machines;
      }
    else
      module.testScript;
in
pkgs.writeText "vm-test-run-${module.name}" (
  script
  + lib.concatMapStrings (system: "# ${system}\n") (
    builtins.concatLists (map systems (builtins.attrValues machines))
  )
)
