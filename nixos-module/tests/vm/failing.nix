# A secret that cannot be decrypted is named, fails its service and keeps the target from being reached; the others are
# installed all the same.
{ ... }:
{
  name = "secretctl-failing";
  nodes.machine =
    { lib, ... }:
    {
      imports = [ ./parts/host.nix ];
      # or the build would fail
      secretctl.hostPublicKey = lib.mkForce null;
      secretctl.secrets = {
        good.file = ./secrets/first.age;
        bad.file = ./secrets/foreign.age;
      };
      systemd.services.consumer = {
        wantedBy = [ "multi-user.target" ];
        requires = [ "secretctl.target" ];
        after = [ "secretctl.target" ];
        serviceConfig.ExecStart = "/run/current-system/sw/bin/sleep infinity";
      };
    };
  testScript = ''
    machine.wait_for_unit("multi-user.target")
    machine.succeed("systemctl is-failed secretctl.service")
    machine.fail("systemctl is-active secretctl.target")
    machine.fail("systemctl is-active consumer.service")
    machine.succeed("journalctl -u secretctl.service | grep bad")
    assert "first value" == machine.succeed("cat /run/secrets/good")
  '';
}
