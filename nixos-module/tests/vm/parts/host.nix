# What the hosts of all tests have: the module, and a private key from the beginning, as a host has it. The key is
# public, and for tests only; `../secrets` is encrypted to it, all but `foreign.age`.
{ pkgs, ... }:
let
  testdata = ../../../../testdata/age;
in
{
  imports = [ ../../../nixos.nix ];

  secretctl = {
    identities = [ "/var/lib/test-key" ];
    hostPublicKey = builtins.readFile (testdata + "/ssh_ed25519.pub");
  };
  systemd.services.test-key = {
    wantedBy = [ "sysinit.target" ];
    after = [ "systemd-remount-fs.service" ];
    before = [
      "secretctl-early.service"
      "secretctl.service"
    ];
    unitConfig.DefaultDependencies = false;
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "${pkgs.coreutils}/bin/install -D -m 0400 ${testdata + "/ssh_ed25519"} /var/lib/test-key";
    };
  };
  system.switch.enable = true;
}
