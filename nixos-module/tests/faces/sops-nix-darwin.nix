# A Mac as it is written for sops-nix.
{ config, ... }:
{
  sops = {
    defaultSopsFile = ./secrets/host.yaml;
    secrets."db/password" = { };
    secrets.hash.neededForUsers = true;
    templates."app.conf".content = "password = ${config.sops.placeholder."db/password"}\n";
  };
}
