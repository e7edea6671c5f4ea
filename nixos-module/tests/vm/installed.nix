# Secrets are there after boot, in memory, with the content, owner and mode that were asked for.
{ ... }:
{
  name = "secretctl-installed";
  nodes.machine = {
    imports = [ ./parts/host.nix ];
    users.users.web = {
      isSystemUser = true;
      group = "web";
    };
    users.groups.web = { };
    secretctl.secrets = {
      plain.file = ./secrets/first.age;
      owned = {
        file = ./secrets/database.yaml;
        key = "database/password";
        owner = "web";
        mode = "0440";
        path = "/etc/web/password";
      };
      copied = {
        file = ./secrets/first.age;
        path = "/var/lib/copied";
        symlink = false;
      };
    };
  };
  testScript = ''
    machine.wait_for_unit("secretctl.target")

    def is_at(path, content, owner):
        assert content == machine.succeed(f"cat {path}")
        assert owner == machine.succeed(f"stat -Lc '%U %G %a' {path}").strip()

    is_at("/run/secrets/plain", "first value", "root root 400")
    is_at("/run/secrets/owned", "sesame", "web web 440")
    is_at("/etc/web/password", "sesame", "web web 440")
    is_at("/var/lib/copied", "first value", "root root 400")
    assert "ramfs" == machine.succeed("findmnt -no FSTYPE /run/secrets.d").strip()
    machine.succeed("test -L /etc/web/password && test ! -L /var/lib/copied")
    machine.fail("runuser -u nobody -- cat /run/secrets/plain")
    machine.fail("runuser -u nobody -- ls /run/secrets.d")
  '';
}
