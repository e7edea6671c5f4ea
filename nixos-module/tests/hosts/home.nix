# A user of home-manager with secrets, for the tests.
{ config, ... }:
{
  secretctl = {
    package = {
      type = "derivation";
      name = "folder";
      outPath = "/opt/secretctl";
    };
    secrets.token = {
      file = ../../../testdata/age/age-1.3.2-post-quantum.age;
      restartUnits = [ "mail.service" ];
    };
    secrets.netrc = {
      file = ../../../testdata/sops/3.13.3-plain.yaml;
      key = "a";
      path = "/home/alice/.netrc";
    };
    keyServices = {
      enable = true;
      environment.AWS_PROFILE = "100% mine";
      environmentFiles = [ "/home/alice/.config/secretctl/secrets/vault%20env" ];
    };
    templates.config.content = "token = ${config.secretctl.placeholder.token}\n";
  };
}
