# The options of home-manager that modules of secrets touch.
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
    home = {
      username = option types.str "alice";
      homeDirectory = option types.path "/home/alice";
      uid = option (types.nullOr types.int) null;
      activation = option (types.attrsOf types.anything) { };
      packages = option (types.listOf types.package) [ ];
    };
    xdg.configHome = option types.str "/home/alice/.config";
    systemd.user = {
      systemctlPath = option types.str "/usr/bin/systemctl";
      services = option (types.attrsOf types.anything) { };
    };
    launchd.agents = option (types.attrsOf types.anything) { };
  };
}
