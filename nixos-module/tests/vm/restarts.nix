# At a switch, units of changed secrets are restarted or reloaded, and no others.
{ ... }:
let
  counted = name: {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "/run/current-system/sw/bin/mkdir -p /var/lib/${name}/started";
      ExecReload = "/run/current-system/sw/bin/mkdir -p /var/lib/${name}/reloaded";
    };
  };
in
{
  name = "secretctl-restarts";
  nodes.machine =
    { lib, ... }:
    {
      imports = [ ./parts/host.nix ];
      secretctl.secrets = {
        changing = {
          file = lib.mkDefault ./secrets/first.age;
          restartUnits = [ "restarted.service" ];
          reloadUnits = [ "reloaded.service" ];
        };
        staying = {
          file = ./secrets/first.age;
          restartUnits = [ "left.service" ];
        };
      };
      systemd.services = lib.genAttrs [ "restarted" "reloaded" "left" ] counted;
      specialisation.second.configuration.secretctl.secrets.changing.file = ./secrets/second.age;
    };
  testScript =
    { nodes, ... }:
    ''
      second = "${nodes.machine.system.build.toplevel}/specialisation/second"
      switch = f"{second}/bin/switch-to-configuration test"
      folders = "/var/lib/restarted /var/lib/reloaded /var/lib/left"
      machine.wait_for_unit("multi-user.target")
      machine.succeed(f"rm -r {folders}")

      machine.succeed(switch)
      assert "second value" == machine.succeed("cat /run/secrets/changing")
      machine.wait_for_file("/var/lib/restarted/started")
      machine.wait_for_file("/var/lib/reloaded/reloaded")
      machine.succeed("test ! -e /var/lib/reloaded/started && test ! -e /var/lib/left")

      # nothing has changed, so nothing happens
      machine.succeed("rm -r /var/lib/restarted /var/lib/reloaded")
      machine.succeed(switch)
      machine.succeed("systemctl restart secretctl.service")
      machine.succeed("test ! -e /var/lib/restarted && test ! -e /var/lib/reloaded")
    '';
}
