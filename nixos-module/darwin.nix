# nix-darwin: a daemon that installs the secrets of `options.nix` in a disk in memory when the system starts, and the
# same when it is switched. Another one asks key services.
{
  lib,
  config,
  ...
}:
let
  cfg = config.secretctl;
  scoped = import ./scoped.nix "darwin";
  daemon = more: import ./launchd.nix ({ inherit lib cfg; } // more);
in
{
  imports = map scoped [
    ./options.nix
    ./assertions.nix
  ];

  config = lib.mkMerge [
    {
      launchd.daemons.secretctl.serviceConfig = daemon { log = "/var/log/secretctl.log"; };
      # A switch that could not install all fails, and says so.
      system.activationScripts.postActivation.text = ''
        ${cfg.package}/bin/secretctl activate ${cfg.manifestFile}
      '';
    }
    (lib.mkIf cfg.keyServices.enable {
      secretctl.keyServices.environment.HOME = lib.mkDefault "/var/root";
      launchd.daemons.secretctl-network.serviceConfig = daemon {
        network = true;
        log = "/var/log/secretctl-network.log";
      };
    })
  ];
}
