# A host as it is written for sops-nix.
{ config, ... }:
let
  inherit (config.sops) placeholder;
in
{
  services.openssh.enable = true;
  users.groups.web = { };
  users.users.web.group = "web";
  users.users.alice = {
    group = "users";
    hashedPasswordFile = config.sops.secrets.hash.path;
  };
  systemd.services.nginx.restartTriggers = [ config.sops.secrets.whole.sopsFileHash ];
  sops = {
    defaultSopsFile = ./secrets/host.yaml;
    age.keyFile = "/var/lib/sops-nix/key.txt";
    keepGenerations = 3;
    log = [ "secretChanges" ];
    secrets = {
      "db/password" = {
        owner = "web";
        restartUnits = [ "nginx.service" ];
      };
      token = {
        key = "db/token";
        name = "app/token";
        path = "/srv/token";
        mode = "0444";
        reloadUnits = [ "nginx.service" ];
      };
      numbered = {
        key = "db/password";
        uid = 1234;
        gid = 5678;
      };
      hash.neededForUsers = true;
      whole = {
        sopsFile = ./secrets/other.json;
        format = "json";
        key = "";
      };
      nested = {
        sopsFile = ./secrets/other.json;
        format = "json";
        key = "a/b";
      };
      environment = {
        sopsFile = ./secrets/app.env;
        format = "dotenv";
      };
      settings = {
        sopsFile = ./secrets/app.ini;
        format = "ini";
      };
      bytes = {
        sopsFile = ./secrets/bytes.bin;
        format = "binary";
      };
    };
    templates = {
      "app.conf" = {
        content = ''
          password = ${placeholder."db/password"}
          both = ${placeholder.token} ${placeholder.hash}
        '';
        owner = "web";
        path = "/srv/app.conf";
      };
      "from-file" = {
        file = builtins.toFile "from-file.in" "token=<SOPS:${builtins.hashString "sha256" "token"}:PLACEHOLDER>\n";
        content = "is not taken";
        restartUnits = [ "nginx.service" ];
      };
    };
  };
}
