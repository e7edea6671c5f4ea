# A home as it is written for agenix.
{ config, ... }:
{
  age.secrets = {
    plain.file = ./secrets/plain.age;
    linked = {
      file = ./secrets/linked.age;
      path = "${config.home.homeDirectory}/.linked";
      mode = "600";
    };
    copied = {
      file = ./secrets/copied.age;
      path = "${config.home.homeDirectory}/.copied";
      symlink = false;
    };
  };
}
