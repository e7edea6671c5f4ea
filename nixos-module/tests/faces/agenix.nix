# A host as it is written for agenix.
{ config, ... }:
{
  services.openssh.enable = true;
  users.groups.web = { };
  users.users.web.group = "web";
  users.users.alice = {
    group = "users";
    hashedPasswordFile = config.age.secrets.hash.path;
  };
  age.secrets = {
    plain.file = ./secrets/plain.age;
    hash.file = ./secrets/hash.age;
    owned = {
      file = ./secrets/owned.age;
      owner = "web";
      mode = "0440";
    };
    numbered = {
      file = ./secrets/numbered.age;
      owner = "1234";
      group = "5678";
      mode = "640";
    };
    linked = {
      file = ./secrets/linked.age;
      path = "/srv/linked";
    };
    copied = {
      file = ./secrets/copied.age;
      path = "/srv/copied";
      symlink = false;
      owner = "web";
    };
    in-place = {
      file = ./secrets/plain.age;
      symlink = false;
    };
    renamed = {
      file = ./secrets/renamed.age;
      name = "folder/other";
    };
    "-hyphen".file = ./secrets/hyphen.age;
  };
}
