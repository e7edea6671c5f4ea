# The options of nix-darwin that modules of secrets touch.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  option =
    type: default:
    mkOption {
      inherit type default;
    };
in
{
  options = {
    assertions = option (types.listOf types.unspecified) [ ];
    warnings = option (types.listOf types.str) [ ];
    launchd.daemons = option (types.attrsOf types.anything) { };
    environment.systemPackages = option (types.listOf types.package) [ ];
    users.users = option (types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options = {
            name = option types.str name;
            uid = option (types.nullOr types.int) null;
            gid = option types.int 20;
            home = option (types.nullOr types.path) null;
          };
        }
      )
    )) { };
    users.groups = option (types.attrsOf types.anything) { };
    system.build = option (types.lazyAttrsOf types.unspecified) { };
    system.activationScripts = option (types.attrsOf (
      types.submodule { options.text = option types.lines ""; }
    )) { };
  };
}
