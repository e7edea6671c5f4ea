# After a reboot everything is there again, and nothing of the time before.
{ ... }:
{
  name = "secretctl-reboot";
  nodes.machine = {
    imports = [ ./parts/host.nix ];
    secretctl.secrets.token.file = ./secrets/first.age;
  };
  testScript = ''
    machine.wait_for_unit("secretctl.target")
    machine.succeed("touch /run/secrets.d/of-the-time-before")
    machine.shutdown()
    machine.start()
    machine.wait_for_unit("secretctl.target")
    assert "first value" == machine.succeed("cat /run/secrets/token")
    machine.fail("test -e /run/secrets.d/of-the-time-before")
  '';
}
