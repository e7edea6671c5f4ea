# A secret that could be decrypted once, and can no more, keeps its last value, and what requires the target goes on
# running.
{ ... }:
{
  name = "secretctl-keeps-last-value";
  nodes.machine =
    { lib, ... }:
    {
      imports = [ ./parts/host.nix ];
      secretctl.hostPublicKey = lib.mkForce null;
      secretctl.secrets.token.file = lib.mkDefault ./secrets/first.age;
      systemd.services.consumer = {
        wantedBy = [ "multi-user.target" ];
        requires = [ "secretctl.target" ];
        after = [ "secretctl.target" ];
        serviceConfig.ExecStart = "/run/current-system/sw/bin/sleep infinity";
      };
      specialisation.broken.configuration.secretctl.secrets.token.file = ./secrets/foreign.age;
    };
  testScript =
    { nodes, ... }:
    ''
      machine.wait_for_unit("consumer.service")
      pid = machine.succeed("systemctl show -P MainPID consumer.service")
      machine.fail(
          "NIXOS_NO_CHECK=1 ${nodes.machine.system.build.toplevel}/specialisation/broken/bin/switch-to-configuration test"
      )
      machine.succeed("systemctl is-failed secretctl.service")
      assert "first value" == machine.succeed("cat /run/secrets/token")
      assert pid == machine.succeed("systemctl show -P MainPID consumer.service")
    '';
}
