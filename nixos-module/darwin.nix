# nix-darwin: a daemon that installs the secrets of `options.nix` in a disk in memory when the system starts, and the
# same when it is switched.
{
  config,
  ...
}:
let
  cfg = config.secretctl;
  program = "${cfg.package}/bin/secretctl";
  manifest = "${cfg.manifestFile}";
  scoped = import ./scoped.nix "darwin";
in
{
  imports = map scoped [
    ./options.nix
    ./assertions.nix
  ];

  config = {
    launchd.daemons.secretctl.serviceConfig = import ./launchd.nix {
      inherit program manifest;
      log = "/var/log/secretctl.log";
    };
    # A switch that could not install all fails, and says so.
    system.activationScripts.postActivation.text = ''
      ${program} activate ${manifest}
    '';
  };
}
