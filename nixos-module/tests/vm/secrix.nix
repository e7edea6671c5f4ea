# What is written for secrix: secrets of services are there while they run, and equal names are different secrets.
{ ... }:
let
  waits = {
    serviceConfig.ExecStart = "/run/current-system/sw/bin/sleep infinity";
  };
in
{
  name = "secretctl-secrix";
  nodes.machine =
    { ... }:
    {
      imports = [
        ./parts/host.nix
        ../../compat/secrix.nix
      ];
      secrix = {
        hostIdentityFile = "/var/lib/test-key";
        system.secrets.token.encrypted.file = ./secrets/first.age;
        services.one.secrets.password.encrypted.file = ./secrets/first.age;
        services.two.secrets.password.encrypted.file = ./secrets/second.age;
        services.made-up.secrets.password.encrypted.file = ./secrets/second.age;
      };
      users.users.alice.isNormalUser = true;
      systemd.services.one = waits;
      systemd.services.two = waits;
      systemd.services.made-up = {
        serviceConfig = waits.serviceConfig // {
          DynamicUser = true;
        };
      };
    };
  testScript = ''
    machine.wait_for_unit("multi-user.target")
    assert "first value" == machine.succeed("cat /run/system-keys/token")
    machine.fail("test -e /run/one-keys/password")
    machine.succeed("systemctl start one.service two.service made-up.service")
    assert "first value" == machine.succeed("cat /run/one-keys/password")
    assert "second value" == machine.succeed("cat /run/two-keys/password")
    machine.fail("runuser -u alice -- cat /run/made-up-keys/password")
    machine.succeed("systemctl stop one.service made-up.service")
    machine.wait_until_fails("test -e /run/one-keys")
    machine.wait_until_fails("test -e /run/made-up-keys")
    machine.succeed("! grep one-keys /proc/mounts")
  '';
}
