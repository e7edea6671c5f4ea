# What a configuration has no more goes at the switch to it: the secret, its link and its copy, the last one too.
{ ... }:
{
  name = "secretctl-removed";
  nodes.machine =
    { lib, ... }:
    {
      imports = [ ./parts/host.nix ];
      secretctl.secrets = {
        linked = {
          file = ./secrets/first.age;
          path = "/etc/linked";
        };
        copied = {
          file = ./secrets/first.age;
          path = "/var/lib/copied";
          symlink = false;
        };
      };
      specialisation.empty.configuration.secretctl.secrets = lib.mkForce { };
    };
  testScript =
    { nodes, ... }:
    ''
      machine.wait_for_unit("secretctl.target")
      machine.succeed("test -e /etc/linked && test -e /var/lib/copied")
      machine.succeed("${nodes.machine.system.build.toplevel}/specialisation/empty/bin/switch-to-configuration test")
      machine.succeed("test ! -L /etc/linked && test ! -e /var/lib/copied && test ! -e /run/secrets/linked")
      machine.fail("grep -r 'first value' /run/secrets.d")
    '';
}
