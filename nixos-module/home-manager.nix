# home-manager: a service of the user that installs the secrets of `options.nix` in memory of the user.
# On macOS, an agent.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.secretctl;
  program = "${cfg.package}/bin/secretctl";
  manifest = "${cfg.manifestFile}";
  inherit (pkgs.stdenv.hostPlatform) isDarwin;
  systemctl = config.systemd.user.systemctlPath or "${pkgs.systemd}/bin/systemctl";
  scoped = import ./scoped.nix "home";
in
{
  imports = map scoped [
    ./options.nix
    ./assertions.nix
  ];

  config = lib.mkMerge [
    (lib.mkIf (!isDarwin) {
      systemd.user.services.secretctl = {
        Unit = {
          Description = "Secrets";
          X-Restart-Triggers = [ manifest ];
        };
        Service = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${program} activate ${manifest}";
          # for restarts and reloads of units
          Environment = [ "PATH=${builtins.dirOf systemctl}" ];
          # what is known of copies on a disk, for the next boot
          StateDirectory = "secretctl";
          StateDirectoryMode = "0700";
          LimitCORE = 0;
          UMask = "0077";
        };
        Install.WantedBy = [ "default.target" ];
      };
      # By then the new unit is known. Nothing is done for a user who is not logged in: the service runs at
      # the next login.
      home.activation.secretctl = lib.hm.dag.entryAfter [ "reloadSystemd" ] ''
        export XDG_RUNTIME_DIR=''${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
        if ${systemctl} --user is-active --quiet basic.target; then
          run ${systemctl} --user restart secretctl.service
        fi
      '';
    })
    (lib.mkIf isDarwin {
      launchd.agents.secretctl = {
        enable = true;
        config = import ./launchd.nix {
          inherit program manifest;
          log = "${config.home.homeDirectory}/Library/Logs/secretctl.log";
        };
      };
    })
  ];
}
