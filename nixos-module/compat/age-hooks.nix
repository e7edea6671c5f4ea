# Names of agenix on NixOS that other modules put themselves before or after.
{
  lib,
  config,
  options,
  common,
}:
let
  isInstalled = builtins.any (secret: secret.installed or true) (
    builtins.attrValues config.age.secrets
  );
  empty = deps: {
    text = "";
    inherit deps;
  };
in
{
  systemd.services.secretctl = lib.mkMerge (
    [ { aliases = [ "agenix-install-secrets.service" ]; } ]
    ++ common.unitsNamed options "agenix-install-secrets"
  );
  # Only where users are made by a script are there scripts of agenix.
  system.activationScripts = lib.mkIf (config.age.secrets != { } && common.usersByScript config options) {
    agenixNewGeneration = empty [ "specialfs" ];
    agenixInstall = empty (
      [
        "agenixNewGeneration"
        "specialfs"
      ]
      ++ lib.optional isInstalled "secretctlEarly"
    );
    agenixChown = empty [
      "users"
      "groups"
    ];
    agenix = empty [ "agenixChown" ];
    users.deps = [ "agenixInstall" ];
  };
}
