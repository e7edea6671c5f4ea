# What cannot be kept of sops-nix, each of it once.
{ pkgs, ... }:
{
  services.openssh.enable = true;
  systemd.sysusers.enable = true;
  users.mutableUsers = false;
  users.groups.web = { };
  users.users.web.group = "web";
  sops = {
    package = pkgs.rage;
    validationPackage = pkgs.rage;
    age.generateKey = true;
    gnupg.sshKeyPaths = [ ];
    age.sshKeyPaths = [
      ./host.pub
      "/etc/ssh/ssh_host_ed25519_key"
    ];
    environment = {
      GNUPGHOME = "/root/.gnupg";
      SOPS_AGE_KEY_FILE = "/var/lib/keys.txt";
      SOPS_GPG_EXEC = "/opt/gpg";
      AWS_PROFILE = "fleet";
    };
    defaultSopsFile = ./secrets/host.yaml;
    secrets = {
      hash = {
        neededForUsers = true;
        owner = "web";
      };
      both = {
        key = "hash";
        owner = "web";
        uid = 1;
        gid = 1;
        mode = "rw";
      };
      outside.sopsFile = "/var/lib/secrets.yaml";
      service.sopsFile = ./service.yaml;
      pgp.sopsFile = ./pgp.yaml;
      typo = {
        key = "hash";
        restartUnits = [ "nginx" ];
      };
    };
    templates.both = {
      content = "";
      owner = "web";
      uid = 1;
    };
  };
}
