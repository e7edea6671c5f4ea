# NixOS: the units that install the secrets of `options.nix`, and what has to wait for them.
{
  lib,
  config,
  options,
  pkgs,
  ...
}:
let
  inherit (builtins)
    any
    attrNames
    attrValues
    filter
    map
    ;
  inherit (lib) mkIf mkMerge;
  cfg = config.secretctl;
  program = "${cfg.package}/bin/secretctl";
  manifest = "${cfg.manifestFile}";
  systemctl = "${config.systemd.package}/bin/systemctl";

  # Users are made by a unit, or, by default, when the system is activated.
  usersUnits =
    lib.optional (config.services.userborn.enable or false) "userborn"
    ++ lib.optional (config.systemd.sysusers.enable or false) "systemd-sysusers";
  isEarly = store: store.phase != "normal";
  # As the manifest has them: a file gets to the store there alone.
  pieces = cfg.manifest.secrets ++ cfg.manifest.templates;
  early = filter (piece: isEarly cfg.stores.${piece.store}) pieces;
  hasEarly = early != [ ];
  # What early secrets are made of: users are made anew when it changes.
  earlySources = builtins.hashString "sha256" (
    builtins.unsafeDiscardStringContext (builtins.toJSON early)
  );

  inherit (import ./mounts.nix { inherit lib; }) mount specifiers word;
  keyPaths = map word (cfg.identities ++ lib.optional (cfg.gnupg.home != null) cfg.gnupg.home);

  # Mounted by systemd: a service that may not see all of the system could not do it for the others. Where a store
  # holds nothing any more, its memory goes.
  mounted = attrValues (
    lib.filterAttrs (
      name: store: store.filesystem != "directory" && any (piece: piece.store == name) pieces
    ) cfg.stores
  );
  mountPoints = stores: map (store: word store.mountPoint) stores;

  # Before everything that is not needed to have the secrets: the default dependencies of a unit would
  # put it behind sysinit.target.
  beforeSysinit = {
    wantedBy = [ "sysinit.target" ];
    requiredBy = [ "sysinit-reactivation.target" ];
    before = [
      "sysinit.target"
      "sysinit-reactivation.target"
      "shutdown.target"
    ];
    conflicts = [ "shutdown.target" ];
    unitConfig.DefaultDependencies = false;
  };

  hardening = import ./hardening.nix {
    inherit lib;
    runsPrograms =
      cfg.plugins != [ ]
      || cfg.gnupg.home != null
      || any (secret: secret.transform != null) (attrValues cfg.secrets);
  };

  # What is known of copies on a disk, for the next boot.
  state = {
    StateDirectory = "secretctl";
    StateDirectoryMode = "0700";
  };

  install =
    {
      arguments,
      stores,
      keys ? keyPaths,
      hardened ? hardening.activate,
    }:
    {
      restartTriggers = [ manifest ];
      unitConfig = {
        RequiresMountsFor = keys ++ mountPoints (filter stores mounted);
        # One switch after the other is no reason to refuse the next.
        StartLimitIntervalSec = 0;
      };
      serviceConfig = hardened // {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = toString ([ program "activate" ] ++ arguments ++ [ manifest ]);
      };
    };
  isLate = store: store.phase != "early";
  # The configuration does not change with such a file.
  isOutside =
    secret:
    !lib.hasPrefix "${builtins.storeDir}/" (builtins.unsafeDiscardStringContext "${secret.file}");

  # Succeeds when all of these did.
  complete = units: {
    after = map (unit: "${unit}.service") units;
    wants = map (unit: "${unit}.service") units;
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = map (unit: "${systemctl} is-active --quiet ${unit}.service") units;
    };
  };
in
{
  imports = [
    ./options.nix
    ./assertions.nix
    ./scan.nix
  ];

  config = mkMerge [
    {
      systemd.mounts = map mount mounted;
      systemd.services.secretctl-early = mkMerge [
        beforeSysinit
        (install {
          arguments = [ "--early" ];
          stores = isEarly;
          # The keys are on file systems of the first stage, or an assertion fails. Without early secrets they need
          # not be, and this must not wait for them: some file systems wait for the users.
          keys = lib.optionals hasEarly keyPaths;
        })
        {
          description = "Secrets That Users Are Made With";
          after = [ "systemd-remount-fs.service" ];
          before = [
            "systemd-sysusers.service"
            "userborn.service"
            "secretctl.service"
          ];
        }
      ];
      systemd.services.secretctl = mkMerge [
        beforeSysinit
        (install {
          arguments = [ ];
          stores = isLate;
        })
        {
          description = "Secrets";
          serviceConfig = state;
          # the users are there, and the disks on which the keys are
          after = [
            "systemd-sysusers.service"
            "userborn.service"
            "local-fs.target"
          ];
        }
      ];
      # Whoever cannot do without a secret requires this target. It does not require the services
      # itself: whatever does is stopped with them, each time that they run again. So it is not left when
      # a later switch fails; the last values stay then, and secretctl.service is failed.
      systemd.targets.secretctl = {
        description = "All Required Secrets Were There";
        wantedBy = [ "multi-user.target" ];
        requires = [ "secretctl-complete.service" ];
        after = [ "secretctl-complete.service" ];
        unitConfig.DefaultDependencies = false;
      };
      systemd.services.secretctl-complete = mkMerge [
        (complete [
          "secretctl-early"
          "secretctl"
        ])
        {
          description = "Check That All Required Secrets Are In Place";
          before = [ "shutdown.target" ];
          conflicts = [ "shutdown.target" ];
          unitConfig.DefaultDependencies = false;
        }
      ];
    }

    (mkIf cfg.keyServices.enable {
      systemd.services.secretctl-network = mkMerge [
        (install {
          arguments = [ "--network" ];
          stores = isLate;
          hardened = hardening.network;
        })
        {
          description = "Secrets of Key Services";
          wantedBy = [ "multi-user.target" ];
          wants = [ "network-online.target" ];
          after = [
            "network-online.target"
            "secretctl.service"
          ];
          environment = {
            HOME = lib.mkDefault "/root";
          }
          // lib.mapAttrs (_: specifiers) cfg.keyServices.environment;
          serviceConfig =
            state
            // {
              # A network that is said to be there is not always, and services have bad moments. A manifest
              # stays as it is.
              Restart = "on-failure";
              RestartSec = 60;
              RestartPreventExitStatus = 2;
              # Where it succeeds later, whoever waits for the target has waited for that.
              ExecStartPost = "-${systemctl} start --no-block secretctl-network.target";
            }
            // lib.optionalAttrs (cfg.keyServices.environmentFiles != [ ]) {
              EnvironmentFile = map specifiers cfg.keyServices.environmentFiles;
            };
        }
      ];
      # As secretctl.target, with what waits for the network.
      systemd.targets.secretctl-network = {
        description = "All Required Secrets Were There, Those of Key Services Too";
        wantedBy = [ "multi-user.target" ];
        requires = [
          "secretctl.target"
          "secretctl-network-complete.service"
        ];
        after = [
          "secretctl.target"
          "secretctl-network-complete.service"
        ];
      };
      systemd.services.secretctl-network-complete = mkMerge [
        (complete [ "secretctl-network" ])
        { description = "Check That All Secrets of Key Services Are In Place"; }
      ];
    })

    # At each switch, whether the units changed or not; secretctl.service stays as it is, with all that
    # requires it.
    (mkIf (any isOutside cfg.manifest.secrets) {
      systemd.services.secretctl-again = mkMerge [
        (install {
          arguments = [ ];
          stores = isLate;
        })
        {
          description = "Secrets of Files That Are on This Machine Alone";
          requiredBy = [ "sysinit-reactivation.target" ];
          before = [
            "sysinit-reactivation.target"
            "shutdown.target"
          ];
          after = [ "secretctl.service" ];
          conflicts = [ "shutdown.target" ];
          unitConfig.DefaultDependencies = false;
          serviceConfig = state // {
            RemainAfterExit = lib.mkForce false;
          };
        }
      ];
    })

    # A change of what users are made with makes them anew.
    (mkIf hasEarly {
      systemd.services = lib.genAttrs usersUnits (_: {
        restartTriggers = [ earlySources ];
      });
    })
    # No unit makes the users here; the script that does has to have their secrets.
    (mkIf (hasEarly && usersUnits == [ ]) {
      system.activationScripts = {
        secretctlEarly = {
          deps = [ "specialfs" ];
          text = "${program} activate --early ${manifest}";
        };
        users.deps = [ "secretctlEarly" ];
      };
    })

    (mkIf (cfg.manifest.services != { }) {
      systemd.sockets.secretctl-credentials = {
        description = "Secrets of Services";
        wantedBy = [ "sockets.target" ];
        before = [
          "sockets.target"
          "shutdown.target"
        ];
        conflicts = [ "shutdown.target" ];
        unitConfig.DefaultDependencies = false;
        listenStreams = [ "/run/secretctl/credentials.socket" ];
        socketConfig = {
          Accept = false;
          SocketMode = "0600";
          DirectoryMode = "0755";
          RemoveOnStop = true;
          # a storm of restarts is no reason to answer nobody any more
          TriggerLimitIntervalSec = 0;
        };
      };
      systemd.services = mkMerge [
        {
          secretctl-credentials = {
            description = "Decrypt Secrets of Services";
            # It finishes what it has begun, and the socket stays.
            stopIfChanged = false;
            requires = [ "secretctl-credentials.socket" ];
            after = [ "secretctl-credentials.socket" ];
            before = [ "shutdown.target" ];
            conflicts = [ "shutdown.target" ];
            unitConfig = {
              DefaultDependencies = false;
              RequiresMountsFor = keyPaths;
              StartLimitIntervalSec = 0;
            };
            serviceConfig = hardening.credentials // {
              Type = "exec";
              ExecStart = "${program} credentials ${manifest}";
              # systemd takes the end of a connection for that of a credential. So it keeps them itself when
              # this is killed, and the next process refuses who has not got all.
              NotifyAccess = "main";
              FileDescriptorStoreMax = 1024;
              Restart = "on-abnormal";
              RestartSec = 0;
            };
          };
        }
        (lib.mapAttrs' (unit: service: {
          name = lib.removeSuffix ".service" unit;
          value = {
            requires = [ "secretctl-credentials.socket" ];
            after = [ "secretctl-credentials.socket" ];
            # A new file is a new secret, as far as can be known here.
            restartTriggers = lib.mapAttrsToList (_: secret: secret.file) service.credentials;
            serviceConfig.LoadCredential = map (
              secret: "${secret}:/run/secretctl/credentials.socket"
            ) (attrNames service.credentials);
          };
        }) cfg.manifest.services)
      ];
    })

    # Before anything is stopped: whether all could be decrypted. Not where a system is being installed,
    # which has no keys yet.
    (lib.optionalAttrs (options ? system.preSwitchChecks) {
      system.preSwitchChecks.secretctl = ''
        [ -d /run/systemd/system ] || exit 0
        ${lib.optionalString hasEarly "${program} activate --early --dry-run ${manifest} || exit 1"}
        ${program} activate --dry-run ${manifest}
      '';
    })
  ];
}
