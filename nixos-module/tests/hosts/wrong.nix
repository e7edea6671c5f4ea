# Something of everything that may not be together, for the tests, which put the files beside it.
{ ... }:
let
  age = ./good.age;
  yaml = ./good.yaml;
in
{
  fileSystems."/persist" = { };
  users.users.alice = {
    group = "users";
    hashedPasswordFile = "/run/secrets/normal";
  };
  secretctl = {
    package = {
      type = "derivation";
      name = "folder";
      outPath = "/opt/secretctl";
    };
    identities = [
      "/persist/etc/ssh/key"
      "/etc/../key"
    ];
    plugins = [
      {
        type = "derivation";
        name = "gpg";
        outPath = "/opt/gpg";
      }
    ];
    secrets = {
      normal.file = age;
      outside = {
        file = age;
        name = "../x";
      };
      absolute = {
        file = age;
        name = "/etc/shadow";
      };
      twice = {
        file = age;
        name = "normal";
      };
      folder = {
        file = age;
        name = "normal/below";
      };
      nowhere = {
        file = age;
        store = "none";
        path = "/etc/nowhere";
      };
      in-store = {
        file = age;
        path = "/run/secrets/other";
      };
      dots = {
        file = age;
        path = "/etc/../shadow";
      };
      same-path = {
        file = age;
        path = "/etc/same";
      };
      below-path = {
        file = age;
        path = "/etc/same/below";
      };
      no-copy = {
        file = age;
        symlink = false;
      };
      stranger = {
        file = age;
        owner = "nobody-knows";
        group = "nobodies";
      };
      too-early = {
        file = age;
        early = true;
        owner = "alice";
      };
      units = {
        file = age;
        restartUnits = [ "nginx" ];
        reloadUnits = [ "nginx.conf" ];
      };
      no-keys = {
        file = age;
        format = "age";
        key = "a";
      };
      empty-key = {
        file = yaml;
        key = "a//b";
      };
      plain.file = ./plain.yaml;
      missing.file = ./missing.age;
    };
    templates = {
      normal.content = "";
      nothing = { };
      both = {
        content = "";
        file = ./good.age;
      };
      early = {
        content = "<secretctl:units|json>";
        early = true;
      };
    };
    services."a b".secrets."c:d".file = age;
    services.nginx.secrets.plain.file = ./plain.yaml;
    services.a-service-with-a-name-that-is-rather-long.secrets.and-a-credential-whose-name-is-long.file = age;
    stores = {
      wide.path = "/run";
      shared.mountPoint = "/run/secrets.d";
      swap.allowSwap = true;
      disk.allowDisk = true;
      group.group = "no-such-group";
    };
  };
}
