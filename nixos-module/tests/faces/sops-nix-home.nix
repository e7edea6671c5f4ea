# A home as it is written for sops-nix.
{ config, ... }:
{
  sops = {
    defaultSopsFile = ./secrets/host.yaml;
    age.keyFile = "/home/alice/.config/sops/age/keys.txt";
    age.generateKey = true;
    secrets."db/password" = { };
    secrets.token = {
      key = "db/token";
      name = "other";
      path = "%r/token";
    };
    templates."app.conf".content = "password = ${config.sops.placeholder."db/password"}\n";
  };
}
