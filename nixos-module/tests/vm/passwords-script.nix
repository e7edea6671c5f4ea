# The activation script makes users with the password that an early secret holds.
{ ... }:
import ./parts/passwords.nix {
  name = "secretctl-passwords-script";
  users =
    { pkgs, ... }:
    {
      # it runs before any unit
      system.activationScripts = {
        testKey = {
          deps = [ "specialfs" ];
          text = "${pkgs.coreutils}/bin/install -D -m 0400 ${../../../testdata/age/ssh_ed25519} /var/lib/test-key";
        };
        secretctlEarly.deps = [ "testKey" ];
      };
    };
}
