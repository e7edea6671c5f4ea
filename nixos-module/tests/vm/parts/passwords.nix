# A user whose password is an early secret, with users made in one of the ways that NixOS has.
{ name, users }:
{
  inherit name;
  nodes.machine =
    { config, ... }:
    {
      imports = [
        ./host.nix
        users
      ];
      secretctl.secrets.hash = {
        file = ../secrets/hash.age;
        early = true;
      };
      users.users.alice = {
        isSystemUser = true;
        group = "users";
        hashedPasswordFile = config.secretctl.secrets.hash.path;
      };
    };
  testScript = ''
    machine.wait_for_unit("secretctl.target")
    shadow = machine.succeed("getent shadow alice")
    assert "$6$secretctl$" in shadow, shadow
    assert "root root 400" == machine.succeed("stat -Lc '%U %G %a' /run/secrets-early/hash").strip()
  '';
}
