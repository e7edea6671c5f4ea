# Secrets wait for the file system that the private key lies on.
{ ... }:
{
  name = "secretctl-key-on-a-late-disk";
  nodes.machine =
    { lib, pkgs, ... }:
    {
      imports = [ ./parts/host.nix ];
      virtualisation.emptyDiskImages = [ 64 ];
      virtualisation.fileSystems."/keys" = {
        device = "/dev/vdb";
        fsType = "ext4";
        autoFormat = true;
      };
      secretctl.identities = lib.mkForce [ "/keys/test-key" ];
      secretctl.secrets.token.file = ./secrets/first.age;
      systemd.services.test-key = {
        unitConfig.RequiresMountsFor = "/keys";
        serviceConfig.ExecStartPost = "${pkgs.coreutils}/bin/install -m 0400 /var/lib/test-key /keys/test-key";
      };
    };
  testScript = ''
    machine.wait_for_unit("secretctl.target")
    assert "first value" == machine.succeed("cat /run/secrets/token")
    machine.succeed("mountpoint /keys")
  '';
}
