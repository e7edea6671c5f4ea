# home-manager: a service of the user that installs the secrets of `options.nix` in memory of the user, and another
# that asks key services. On macOS, agents.
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
  inherit (import ./mounts.nix { inherit lib; }) specifiers word;
  scoped = import ./scoped.nix "home";
  logs = "${config.home.homeDirectory}/Library/Logs";
  agent = more: {
    enable = true;
    config = import ./launchd.nix ({ inherit lib cfg; } // more);
  };

  service = arguments: {
    Type = "oneshot";
    RemainAfterExit = true;
    ExecStart = "${program} activate ${arguments}${manifest}";
    # for restarts and reloads of units
    Environment = [ "PATH=${builtins.dirOf systemctl}" ];
    # what is known of copies on a disk, for the next boot
    StateDirectory = "secretctl";
    StateDirectoryMode = "0700";
    LimitCORE = 0;
    UMask = "0077";
  };
  # Nothing is done for a user who is not logged in: the service runs at the next login.
  again = command: ''
    export XDG_RUNTIME_DIR=''${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
    if ${systemctl} --user is-active --quiet basic.target; then
      run ${systemctl} --user ${command}
    fi
  '';
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
        Service = service "";
        Install.WantedBy = [ "default.target" ];
      };
      # By then the new unit is known.
      home.activation.secretctl = lib.hm.dag.entryAfter [ "reloadSystemd" ] (
        again "restart secretctl.service"
      );
    })
    (lib.mkIf (!isDarwin && cfg.keyServices.enable) {
      systemd.user.services.secretctl-network = {
        Unit = {
          Description = "Secrets of Key Services";
          After = [ "secretctl.service" ];
          StartLimitIntervalSec = 0;
          X-Restart-Triggers = [ manifest ];
          # Nobody waits for a network when it changes.
          X-SwitchMethod = "keep-old";
        };
        Service =
          let
            base = service "--network ";
            variable = name: value: word "${name}=${value}";
          in
          base
          // {
            Environment = base.Environment ++ lib.mapAttrsToList variable cfg.keyServices.environment;
            EnvironmentFile = map specifiers cfg.keyServices.environmentFiles;
            # No unit of the system can be waited for here. A manifest stays as it is.
            Restart = "on-failure";
            RestartSec = 60;
            RestartPreventExitStatus = 2;
          };
        Install.WantedBy = [ "default.target" ];
      };
      home.activation.secretctlNetwork = lib.hm.dag.entryAfter [ "secretctl" ] (
        again "restart --no-block secretctl-network.service"
      );
    })
    (lib.mkIf isDarwin {
      launchd.agents.secretctl = agent { log = "${logs}/secretctl.log"; };
    })
    (lib.mkIf (isDarwin && cfg.keyServices.enable) {
      launchd.agents.secretctl-network = agent {
        network = true;
        log = "${logs}/secretctl-network.log";
      };
    })
  ];
}
