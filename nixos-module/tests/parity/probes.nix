# The configurations that faces and originals are compared in: enough that every option has its default.
let
  file = ./probes.nix;
  openssh.services.openssh.enable = true;
  nothing = { };
  ageSecret.age.secrets.NAME = { inherit file; };
  age = configuration: {
    roots = [ [ "age" ] ];
    configurations = [
      configuration
      ageSecret
    ];
    examples."age.secrets" = { inherit file; };
    given = [ "age.secrets.<name>.file" ];
  };
  sops = configuration: {
    roots = [ [ "sops" ] ];
    configurations = [
      configuration
      {
        sops = {
          defaultSopsFile = file;
          age.keyFile = "/key.txt";
          secrets.NAME = { };
          templates.NAME = { };
        };
      }
    ];
    given = [ "sops.defaultSopsFile" ];
  };
  secret.encrypted.file = file;
in
{
  agenix = {
    nixos = age openssh;
    nix-darwin = age nothing;
    home-manager = age nothing;
  };
  sops-nix = {
    nixos = sops openssh;
    nix-darwin = sops nothing;
    home-manager = sops nothing;
  };
  secrix.nixos = {
    roots = [ [ "secrix" ] ];
    configurations = [
      {
        users.users.web.group = "web";
        systemd.services.NAME.serviceConfig.User = "web";
        secrix = {
          system.secrets.NAME = secret;
          services.NAME.secrets.NAME = secret;
        };
      }
    ];
    examples = {
      "secrix.system.secrets" = secret;
      "secrix.services".secrets.NAME = secret;
      "secrix.services.<name>.secrets" = secret;
    };
    given = [
      "secrix.system.secrets.<name>.encrypted.file"
      "secrix.services.<name>.secrets"
      "secrix.services.<name>.secrets.<name>.encrypted.file"
    ];
  };
  agenix-rekey.nixos = {
    roots = [
      [ "age" ]
      [ "rekey" ]
    ];
    configurations = [
      openssh
      {
        age.secrets.NAME.rekeyFile = file;
        age.rekey = {
          storageMode = "local";
          localStorageDir = ./.;
          masterIdentities = [ "/key.txt" ];
        };
      }
    ];
    examples."age.secrets".rekeyFile = file;
    given = [
      "age.rekey.storageMode"
      "age.rekey.localStorageDir"
      "age.secrets.<name>.file"
    ];
  };
}
