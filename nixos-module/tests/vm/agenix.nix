# What is written for agenix is where agenix puts it, and users get their passwords from there.
{ ... }:
{
  name = "secretctl-agenix";
  nodes.machine =
    { config, ... }:
    {
      imports = [
        ./parts/host.nix
        ../../compat/age.nix
      ];
      age.identityPaths = [ "/var/lib/test-key" ];
      age.secrets = {
        token = {
          file = ./secrets/first.age;
          owner = "alice";
          group = "users";
          mode = "0440";
        };
        linked = {
          file = ./secrets/second.age;
          path = "/etc/linked";
        };
        hash.file = ./secrets/hash.age;
      };
      users.users.alice = {
        isNormalUser = true;
        hashedPasswordFile = config.age.secrets.hash.path;
      };
      # it knows the unit of agenix alone
      systemd.services.after = {
        wantedBy = [ "multi-user.target" ];
        requires = [ "agenix-install-secrets.service" ];
        after = [ "agenix-install-secrets.service" ];
        serviceConfig.Type = "oneshot";
        script = "cp /run/agenix/token /root/seen";
      };
    };
  testScript = ''
    machine.wait_for_unit("multi-user.target")
    assert "first value" == machine.succeed("cat /root/seen")
    assert "440 alice:users" == machine.succeed("stat -Lc '%a %U:%G' /run/agenix/token").strip()
    assert "second value" == machine.succeed("cat /etc/linked")
    machine.succeed("grep '^alice:[$]' /etc/shadow")
    machine.succeed("findmnt -t ramfs /run/agenix.d")
  '';
}
