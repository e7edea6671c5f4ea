# What is written for sops-nix is where sops-nix puts it, templates included, and users get their passwords from there.
{ ... }:
{
  name = "secretctl-sops-nix";
  nodes.machine =
    { config, ... }:
    {
      imports = [
        ./parts/host.nix
        ../../compat/sops.nix
      ];
      sops = {
        defaultSopsFile = ./secrets/database.yaml;
        age.sshKeyPaths = [ "/var/lib/test-key" ];
        secrets.password = {
          owner = "alice";
          key = "database/password";
        };
        secrets.early = {
          key = "database/password";
          neededForUsers = true;
        };
        templates."app.conf".content = "password = ${config.sops.placeholder.password}\n";
      };
      users.users.alice = {
        isNormalUser = true;
        group = "users";
      };
      # it knows the unit of sops-nix alone
      systemd.services.after = {
        wantedBy = [ "multi-user.target" ];
        requires = [ "sops-install-secrets.service" ];
        after = [ "sops-install-secrets.service" ];
        serviceConfig.Type = "oneshot";
        script = "cp /run/secrets/rendered/app.conf /root/seen";
      };
    };
  testScript = ''
    machine.wait_for_unit("multi-user.target")
    value = machine.succeed("cat /run/secrets/password")
    assert value == machine.succeed("cat /run/secrets-for-users/early")
    assert f"password = {value}\n" == machine.succeed("cat /root/seen")
    assert "400 alice" == machine.succeed("stat -Lc '%a %U' /run/secrets/password").strip()
  '';
}
