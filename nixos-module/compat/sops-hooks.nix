# Names of sops-nix on NixOS that other modules put themselves before or after, and the key that is
# made where there is none.
{
  lib,
  config,
  options,
  pkgs,
  common,
}:
let
  inherit (import ../mounts.nix { inherit lib; }) word;
  cfg = config.sops;
  file = if cfg.age.keyFile == null then "/var/lib/sops-nix/key.txt" else cfg.age.keyFile;
  quoted = lib.escapeShellArg file;
  quotedFolder = lib.escapeShellArg (dirOf file);
  isMade = cfg.age.generateKey;
  byScript = common.usersByScript config options;
  isForUsers = secret: secret.neededForUsers;
  secrets = builtins.attrValues cfg.secrets;
  hasForUsers = builtins.any isForUsers secrets;
  # They are installed by the script `secretctlEarly`.
  hasEarlyRegular =
    !cfg.useSystemdActivation
    && (builtins.any (secret: !isForUsers secret) secrets || cfg.templates != { });
  keyUnit = lib.optional isMade "sops-generate-age-key.service";
  empty = deps: {
    text = "";
    inherit deps;
  };
in
{
  systemd.services = {
    secretctl = lib.mkMerge (
      [
        {
          aliases = [ "sops-install-secrets.service" ];
          after = keyUnit;
          wants = keyUnit;
        }
      ]
      ++ common.unitsNamed options "sops-install-secrets"
    );
    secretctl-early = lib.mkMerge (
      [
        {
          aliases = [ "sops-install-secrets-for-users.service" ];
          after = keyUnit;
          wants = keyUnit;
        }
      ]
      ++ common.unitsNamed options "sops-install-secrets-for-users"
    );
    sops-generate-age-key = lib.mkIf isMade {
      description = "Make the Key of Age That Opens Secrets";
      before = [
        "secretctl-early.service"
        "secretctl.service"
        "shutdown.target"
      ];
      conflicts = [ "shutdown.target" ];
      unitConfig = {
        DefaultDependencies = false;
        RequiresMountsFor = [ (word file) ];
        ConditionPathExists = "!${lib.replaceStrings [ "%" ] [ "%%" ] file}";
      };
      serviceConfig = {
        Type = "oneshot";
        UMask = "0077";
        ExecStart = [
          "${pkgs.coreutils}/bin/mkdir -p ${word (dirOf file)}"
          "${pkgs.age}/bin/age-keygen -o ${word file}"
        ];
      };
    };
  };

  # Only where users are made by a script are there scripts of sops-nix.
  system.activationScripts = lib.mkIf byScript (
    lib.mkMerge [
      (lib.mkIf hasForUsers {
        setupSecretsForUsers = empty [
          "specialfs"
          "secretctlEarly"
        ];
        users.deps = [ "setupSecretsForUsers" ];
      })
      (lib.mkIf hasEarlyRegular {
        setupSecrets = empty [
          "specialfs"
          "users"
          "groups"
          "secretctlEarly"
        ];
      })
      # a system that starts has no units yet
      (lib.mkIf (isMade && (hasForUsers || hasEarlyRegular)) {
        generate-age-key = empty [ ] // {
          text = ''
            [ -e ${quoted} ] || (umask 077; mkdir -p ${quotedFolder}; ${pkgs.age}/bin/age-keygen -o ${quoted})
          '';
        };
        secretctlEarly.deps = [ "generate-age-key" ];
      })
    ]
  );
}
