# A host as it is written for secrix.
{ config, ... }:
{
  users.groups.web = { };
  users.users.web.group = "web";
  secrix = {
    hostPubKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPkIzCXOn/LxUGR4UQnFCvzDN0J8KNLTmCEiZ6nMpUqX root@web1";
    defaultEncryptKeys.alice = [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL alice@laptop"
    ];
    system.secrets = {
      wifi.encrypted.file = ./secrets/wifi;
      password = {
        encrypted.file = ./secrets/system-password;
        decrypted = {
          name = "renamed";
          mode = "0440";
          user = "web";
          group = "web";
          builder = out: ''
            tr a-z A-Z <$inFile >${out}
          '';
        };
      };
    };
    services = {
      # the same names for different secrets
      one.secrets.password.encrypted.file = ./secrets/one-password;
      two.secrets.password = {
        encrypted.file = ./secrets/two-password;
        decrypted.mode = "0271";
      };
      dynamic = {
        secrets.password = {
          encrypted.file = ./secrets/dynamic-password;
          decrypted.builder = "sed s/^/prefix-/ $inFile";
        };
        additionalRuntimeDirNames = [ "dynamic" ];
        forceRuntimeDirs = true;
      };
    };
  };
  systemd.services = {
    one.serviceConfig = {
      ExecStart = "/bin/one ${config.secrix.services.one.secrets.password.decrypted.path}";
      User = "web";
    };
    two.serviceConfig.ExecStart = "/bin/two";
    dynamic.serviceConfig = {
      ExecStart = "/bin/dynamic";
      DynamicUser = true;
      RuntimeDirectory = "other";
    };
  };
}
