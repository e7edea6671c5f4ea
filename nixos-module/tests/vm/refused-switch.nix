# A switch to a system whose secrets could not be decrypted is refused before anything is changed.
{ ... }:
{
  name = "secretctl-refused-switch";
  nodes.machine =
    { lib, ... }:
    {
      imports = [ ./parts/host.nix ];
      secretctl.hostPublicKey = lib.mkForce null;
      secretctl.secrets.token.file = lib.mkDefault ./secrets/first.age;
      specialisation.broken.configuration = {
        secretctl.secrets.token.file = ./secrets/foreign.age;
        environment.etc.broken.text = "";
      };
    };
  testScript =
    { nodes, ... }:
    ''
      machine.wait_for_unit("secretctl.target")
      machine.fail("${nodes.machine.system.build.toplevel}/specialisation/broken/bin/switch-to-configuration test")
      machine.succeed("test ! -e /etc/broken && systemctl is-active secretctl.service secretctl.target")
      assert "first value" == machine.succeed("cat /run/secrets/token")
    '';
}
