# The options of home-manager that modules of secrets touch.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  option =
    type: default:
    mkOption {
      inherit type default;
    };
  setting = types.oneOf [
    types.bool
    types.int
    types.str
    types.path
  ];
  settings = types.either setting (types.listOf setting);
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
      services = option (types.attrsOf (types.attrsOf (types.attrsOf settings))) { };
    };
    launchd.agents = option (types.attrsOf types.anything) { };
  };
}
