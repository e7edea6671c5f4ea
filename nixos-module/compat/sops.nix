# `sops.*` as sops-nix has it, on NixOS, and with `secretctlScope` on nix-darwin and home-manager:
# the same options, defaults and paths, mapped on those of secretctl. What cannot be kept is an
# assertion.
{
  lib,
  config,
  options,
  pkgs,
  ...
}@args:
let
  scope = args.secretctlScope or "nixos";
  isNixos = scope == "nixos";
  isHome = scope == "home";
  common = import ./common.nix { inherit lib; };
  cfg = config.sops;
  quoted = lib.strings.escapeNixIdentifier;

  # `/run/secrets` is the store of our own secrets too, so that there is one set of both.
  regular = if isHome then "sops" else "secrets";
  forUsers = "sops-users";
  storeOf = secret: if secret.neededForUsers or false then forUsers else regular;

  wholeFile = secret: secret.key == "" || !builtins.elem secret.format [ "yaml" "json" ];

  owned =
    piece:
    {
      mode = common.octal piece.mode;
    }
    // lib.optionalAttrs (!isHome) {
      owner = common.account piece.owner piece.uid;
      group = common.account piece.group piece.gid;
    }
    // lib.optionalAttrs isNixos {
      inherit (piece) restartUnits reloadUnits;
    };

  secret =
    attribute: secret:
    lib.nameValuePair "sops.secrets.${attribute}" (
      {
        declaredAs = "sops.secrets.${quoted attribute}";
        fileDeclaredAs = "sops.secrets.${quoted attribute}.sopsFile";
        inherit (secret) name format path;
        file = secret.sopsFile;
        store = storeOf secret;
        key = if wholeFile secret then null else secret.key;
        validated = cfg.validateSopsFiles;
      }
      // owned secret
    );

  template =
    attribute: template:
    let
      isMade = "${template.file}" == "${pkgs.writeText template.name template.content}";
    in
    lib.nameValuePair "sops.templates.${attribute}" (
      {
        declaredAs = "sops.templates.${quoted attribute}";
        name = "rendered/${template.name}";
        inherit (template) path;
        store = regular;
        content = if isMade then template.content else null;
        file = if isMade then null else template.file;
      }
      // owned template
    );

  placeholderOf = name: "<SOPS:${builtins.hashString "sha256" name}:PLACEHOLDER>";

  # Variables that name keys, as sops takes them.
  fromEnvironment = map (name: cfg.environment.${name}) (
    builtins.filter (name: cfg.environment ? ${name}) [
      "SOPS_AGE_KEY_FILE"
      "SOPS_AGE_SSH_PRIVATE_KEY_FILE"
    ]
  );
  keyPaths =
    lib.optional (cfg.age.keyFile != null) cfg.age.keyFile
    ++ fromEnvironment
    ++ cfg.age.sshKeyPaths
    ++ cfg.gnupg.sshKeyPaths;
in
{
  imports = [
    {
      nixos = ../nixos.nix;
      home = ../home-manager.nix;
      darwin = ../darwin.nix;
    }
    .${scope}
  ]
  ++ lib.optionals isNixos [
    (lib.mkRenamedOptionModule [ "sops" "gnupgHome" ] [ "sops" "gnupg" "home" ])
    (lib.mkRenamedOptionModule [ "sops" "sshKeyPaths" ] [ "sops" "gnupg" "sshKeyPaths" ])
  ];

  options.sops = import ./sops-options.nix {
    inherit
      lib
      config
      options
      pkgs
      scope
      ;
  };

  config = lib.mkMerge [
    {
      # There even without secrets, so that those of an earlier configuration go.
      secretctl.stores = {
        ${regular} = {
          keepGenerations = lib.mkDefault cfg.keepGenerations;
        }
        // lib.optionalAttrs isNixos {
          filesystem = lib.mkDefault (if cfg.useTmpfs then "tmpfs" else "ramfs");
          # activation scripts that come after `setupSecrets` read secrets
          phase = lib.mkDefault (if cfg.useSystemdActivation then "normal" else "both");
        }
        // lib.optionalAttrs isHome {
          path = cfg.defaultSymlinkPath;
          mountPoint = cfg.defaultSecretsMountPoint;
        };
      }
      // lib.optionalAttrs (!isHome) {
        ${forUsers} = {
          path = "/run/secrets-for-users";
          keepGenerations = lib.mkDefault cfg.keepGenerations;
        }
        // lib.optionalAttrs isNixos {
          phase = "early";
          filesystem = lib.mkDefault (if cfg.useTmpfs then "tmpfs" else "ramfs");
        };
      };
      sops.placeholder = lib.mapAttrs (name: _: lib.mkDefault (placeholderOf name)) cfg.secrets;
    }
    (lib.mkIf (cfg.secrets != { } || cfg.templates != { }) {
      assertions = import ./sops-assertions.nix {
        inherit
          lib
          config
          common
          scope
          keyPaths
          ;
      };
      secretctl = {
        identities = common.outsideStore keyPaths;
        plugins = cfg.age.plugins;
        gnupg = lib.mkIf (cfg.gnupg.home != null) {
          inherit (cfg.gnupg) home package;
        };
        logging = {
          keys = lib.mkDefault (builtins.elem "keyImport" cfg.log);
          changes = lib.mkDefault (builtins.elem "secretChanges" cfg.log);
        };
        secrets = lib.mapAttrs' secret cfg.secrets;
        templates = lib.mapAttrs' template cfg.templates;
        foreignPlaceholders = lib.mapAttrs' (
          name: secret:
          # one that was set otherwise is what templates have in them
          lib.nameValuePair "${cfg.placeholder.${name}}" {
            store = storeOf secret;
            secret = secret.name;
          }
        ) cfg.secrets;
        # sops-nix asks services without being told
        keyServices = {
          enable = lib.mkDefault (
            cfg.validateSopsFiles && builtins.any common.needsService (builtins.attrValues cfg.secrets)
          );
          environment = lib.filterAttrs (name: _: common.isOfService name) (
            lib.mapAttrs (_: value: "${value}") cfg.environment
          );
        };
      };
      sops.environment = lib.mkIf (cfg.gnupg.home != null || cfg.gnupg.sshKeyPaths != [ ]) {
        SOPS_GPG_EXEC = lib.mkDefault "${cfg.gnupg.package}/bin/gpg";
      };
    })
    (lib.optionalAttrs (!isHome) {
      system.build = import ./sops-manifest.nix { inherit lib config pkgs; };
    })
    (import
      {
        nixos = ./sops-hooks.nix;
        home = ./sops-hooks-home.nix;
        darwin = ./sops-hooks-darwin.nix;
      }
      .${scope}
      {
        inherit
          lib
          config
          options
          pkgs
          common
          ;
      }
    )
  ];
}
