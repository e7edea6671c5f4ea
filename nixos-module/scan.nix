# `secretctl.scan`: looks regularly whether a secret of this host stands in plaintext in its store.
{
  lib,
  config,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  inherit (import ./mounts.nix { inherit lib; }) word;
  cfg = config.secretctl;
  hardening = import ./hardening.nix {
    inherit lib;
    runsPrograms = cfg.plugins != [ ] || cfg.gnupg.home != null;
  };
  gnupg = lib.optional (cfg.gnupg.home != null) cfg.gnupg.home;
  # As systemd reads a command: no shell, but variables.
  argument = text: lib.replaceStrings [ "$" ] [ "$$" ] (word text);
  arguments = [
    "${cfg.package}/bin/secretctl"
    "scan"
    "--manifest"
    "${cfg.manifestFile}"
    "--store"
  ]
  ++ lib.optional cfg.scan.logs "--logs"
  ++ lib.optional cfg.scan.evaluationCache "--eval-cache"
  ++ lib.optional cfg.scan.boot "--boot"
  ++ lib.optional cfg.scan.heuristics "--heuristics"
  ++ map (key: "--trusted-key=${key}") cfg.scan.trustedKeys
  ++ lib.optionals (cfg.scan.allowList != null) [
    "--allow"
    "${cfg.scan.allowList}"
  ];
  place =
    what: default:
    mkOption {
      type = types.bool;
      inherit default;
      description = "Whether ${what} are looked through, too.";
      example = !default;
    };
in
{
  options.secretctl.scan = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the store of this host is looked through regularly for the secrets that the host
        installs. A leak makes the service `secretctl-scan` fail, with a report in the journal that
        names the secret and the place and never the value. What was looked through is remembered,
        so that only what is new is read.
      '';
      example = true;
    };
    schedule = mkOption {
      type = types.nonEmptyStr;
      default = "daily";
      description = "When, as `OnCalendar=` of systemd timers has it.";
      example = "Sun 03:00";
    };
    logs = place "build logs" true;
    evaluationCache = place "the evaluation caches of all users" true;
    boot = place "the files below `/boot`, such as initrds," false;
    heuristics = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether shapes of secrets are looked for, too: private keys and tokens that are no secret of
        this host. What trusted caches have signed is left out.
      '';
      example = true;
    };
    trustedKeys = mkOption {
      type = types.listOf types.nonEmptyStr;
      default = [ ];
      description = ''
        Public keys of further binary caches whose content is left out. Name none that signs what you
        build yourself: a leak in it would not be found.
      '';
      example = [ "cache.example.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
    };
    allowList = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "A list of findings that may be there until a day, as `--allow` has it.";
      example = literalExpression "./scan-allow.json";
    };
  };

  config = lib.mkIf cfg.scan.enable {
    systemd.services.secretctl-scan = {
      description = "Look for Secrets in the Nix Store";
      after = [ "secretctl.service" ];
      unitConfig.RequiresMountsFor = map word (cfg.identities ++ gnupg);
      serviceConfig = hardening.scan // {
        # gpg locks its folder
        ReadWritePaths = map (home: word "-${home}") gnupg;
        Type = "oneshot";
        ExecStart = toString (map argument arguments);
        # the memory of what was looked through
        StateDirectory = "secretctl-scan";
        StateDirectoryMode = "0700";
        Nice = 19;
        IOSchedulingClass = "idle";
        MemoryMax = "400M";
      };
    };
    systemd.timers.secretctl-scan = {
      description = "Look for Secrets in the Nix Store";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.scan.schedule;
        Persistent = true;
        RandomizedDelaySec = "1h";
      };
    };
  };
}
