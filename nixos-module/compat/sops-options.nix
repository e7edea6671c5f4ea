# The options of `sops.*` as sops-nix declares them for NixOS, nix-darwin and home-manager.
{
  lib,
  config,
  options,
  pkgs,
  scope,
}:
let
  inherit (lib) literalExpression mkOption types;
  isNixos = scope == "nixos";
  isHome = scope == "home";
  isDarwin = scope == "darwin";
  cfg = config.sops;
  users = config.users.users or { };
  common = import ./common.nix { inherit lib; };

  formats = [
    "yaml"
    "json"
    "binary"
    "dotenv"
    "ini"
  ];

  # A path of the machine: a key must not get to the store.
  pathNotInStore = lib.mkOptionType {
    name = "pathNotInStore";
    description = "path not in the Nix store";
    descriptionClass = "noun";
    check = path: !common.isInStore path;
    merge = lib.mergeEqualOption;
  };

  groupOf =
    option: owner:
    (users.${owner} or (throw (
      "secretctl: `${option}.owner` is `${owner}`, whose group is not known, since `users.users` has no such "
      + "user: set `${option}.group` too"
    ))).group;

  # Owners and modes: the same for secrets and templates.
  owned =
    {
      text,
      config,
      defaultOwner,
      defaultGroup,
    }:
    {
      mode = mkOption {
        type = text;
        default = "0400";
        description = "The mode of the file, in octal. Whoever it lets read, can read the secret.";
        example = "0440";
      };
    }
    // lib.optionalAttrs (!isHome) {
      owner = mkOption {
        type = types.nullOr text;
        default = defaultOwner;
        description = "The user that owns the file; `uid` says which where this is `null`.";
        example = "nginx";
      };
      uid = mkOption {
        type = types.nullOr types.int;
        default = 0;
        description = "The number of the user that owns the file, whether there is such a user or not.";
        example = 1000;
      };
      group = mkOption {
        type = types.nullOr text;
        default = defaultGroup config;
        defaultText = literalExpression (
          if isDarwin then ''"staff"'' else "config.users.users.\${owner}.group, and null without an owner"
        );
        description = "The group of the file; `gid` says which where this is `null`.";
        example = "nginx";
      };
      gid = mkOption {
        type = types.nullOr types.int;
        default = 0;
        description = "The number of the group of the file, whether there is such a group or not.";
        example = 1000;
      };
    }
    // lib.optionalAttrs isNixos {
      restartUnits = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Units that are restarted when the file has changed, if they run.";
        example = [ "sshd.service" ];
      };
      reloadUnits = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Units that are reloaded when the file has changed, if they run.";
        example = [ "sshd.service" ];
      };
    };

  secret = types.submodule (
    { name, config, ... }:
    {
      options = {
        name = mkOption {
          type = types.str;
          default = name;
          defaultText = literalExpression "<name>";
          description = "The name of the file in the folder of secrets.";
          example = "db/password";
        };
        key = mkOption {
          type = types.str;
          default = if !isDarwin && cfg.defaultSopsKey != null then cfg.defaultSopsKey else name;
          defaultText = literalExpression "<name>";
          description = ''
            Which value of the file: the names on the way to it with `/` between them. The empty text
            is the whole file, as are `binary`, `dotenv` and `ini` always.
          '';
          example = "db/password";
        };
        path = mkOption {
          type = types.str;
          default =
            if isHome then
              "${cfg.defaultSymlinkPath}/${config.name}"
            else if config.neededForUsers then
              "/run/secrets-for-users/${config.name}"
            else
              "/run/secrets/${config.name}";
          defaultText = literalExpression (
            if isHome then
              ''"''${config.sops.defaultSymlinkPath}/''${name}"''
            else
              ''"/run/secrets/''${name}", and "/run/secrets-for-users/''${name}" with neededForUsers''
          );
          description = "Where programs find it. Another path than the default is a link to it.";
          example = "/etc/app/token";
        };
        format = mkOption {
          type = types.enum formats;
          default = cfg.defaultSopsFormat;
          defaultText = literalExpression "config.sops.defaultSopsFormat";
          description = "The format of the file.";
          example = "json";
        };
        sopsFile = mkOption (
          {
            type = types.path;
            defaultText = literalExpression "config.sops.defaultSopsFile";
            description = "The file of sops that the secret is in.";
            example = literalExpression "./secrets/db.yaml";
          }
          // lib.optionalAttrs isHome { default = cfg.defaultSopsFile; }
        );
      }
      // owned {
        text = types.str;
        inherit config;
        defaultOwner = if isDarwin then "root" else null;
        defaultGroup =
          secret:
          if isDarwin then
            "staff"
          else if secret.owner != null then
            groupOf "sops.secrets.${lib.strings.escapeNixIdentifier name}" secret.owner
          else
            null;
      }
      // lib.optionalAttrs (!isHome) {
        sopsFileHash = mkOption {
          type = types.str;
          readOnly = true;
          description = "The hash of the encrypted file, for triggers of restarts.";
          example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        };
        neededForUsers = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether it is installed before users exist, as for their passwords. It is then in
            `/run/secrets-for-users` and belongs to root. On macOS, users have no passwords from here.
          '';
          example = true;
        };
      };
      config = lib.optionalAttrs (!isHome) {
        sopsFile = lib.mkOptionDefault cfg.defaultSopsFile;
        sopsFileHash = lib.mkOptionDefault (
          lib.optionalString cfg.validateSopsFiles (builtins.hashFile "sha256" config.sopsFile)
        );
      };
    }
  );

  rendered =
    if isHome then "${config.xdg.configHome}/sops-nix/secrets/rendered" else "/run/secrets/rendered";
  template = types.submodule (
    { name, config, ... }:
    {
      options = {
        name = mkOption {
          type = types.singleLineStr;
          default = name;
          defaultText = literalExpression "<name>";
          description = "The name of the file in the folder `rendered` beside the secrets.";
          example = "app.env";
        };
        path = mkOption {
          type = types.singleLineStr;
          default = "${rendered}/${config.name}";
          defaultText = literalExpression (
            if isHome then
              ''"''${config.xdg.configHome}/sops-nix/secrets/rendered/''${name}"''
            else
              ''"/run/secrets/rendered/''${name}"''
          );
          description = "Where programs find it. Another path than the default is a link to it.";
          example = "/etc/app.env";
        };
        content = mkOption {
          type = types.lines;
          default = "";
          description = ''
            The text, with {option}`sops.placeholder` where secrets go. It is in the store, where
            everybody can read it.
          '';
          example = literalExpression ''"PASSWORD=''${config.sops.placeholder.db}\n"'';
        };
        file = mkOption {
          type = types.path;
          default = pkgs.writeText config.name config.content;
          defaultText = literalExpression "a file with the content";
          description = "A file with the text, in the place of `content`.";
          example = literalExpression "./app.env.in";
        };
      }
      // owned {
        text = types.singleLineStr;
        inherit config;
        defaultOwner = null;
        defaultGroup =
          template:
          if template.owner == null then
            null
          else if isDarwin then
            "staff"
          else
            groupOf "sops.templates.${lib.strings.escapeNixIdentifier name}" template.owner;
      };
    }
  );

  # Keys that are secrets themselves cannot open secrets.
  hostKeys =
    kind:
    let
      openssh = config.services.openssh or { };
      keys =
        if isDarwin then
          [
            {
              type = "rsa";
              path = "/etc/ssh/ssh_host_rsa_key";
            }
            {
              type = "ed25519";
              path = "/etc/ssh/ssh_host_ed25519_key";
            }
          ]
        else if !isHome && openssh.enable then
          openssh.hostKeys
        else
          [ ];
    in
    map (key: key.path) (
      builtins.filter (key: key.type == kind && !lib.hasPrefix "/run/secrets" key.path) keys
    );
  keysText =
    kind:
    literalExpression (
      if isHome then
        "[ ]"
      else if isDarwin then
        ''[ "/etc/ssh/ssh_host_${kind}_key" ]''
      else
        "the keys ${kind} of config.services.openssh.hostKeys, if it is enabled"
    );
in
{
  secrets = mkOption {
    type = types.attrsOf secret;
    default = { };
    description = "Secrets of sops files, by name.";
    example = literalExpression "{ db.sopsFile = ./secrets/db.yaml; }";
  };
  templates = mkOption {
    type = types.attrsOf template;
    default = { };
    description = "Files that are put together on the machine, out of text and secrets.";
    example = literalExpression ''
      { "app.env".content = "PASSWORD=''${config.sops.placeholder.db}\n"; }
    '';
  };
  placeholder = mkOption {
    type = types.attrsOf (
      lib.mkOptionType {
        name = "coercibleToString";
        description = "value that can be coerced to string";
        check = value: builtins.isString value || value ? __toString || value ? outPath;
        merge = lib.mergeEqualOption;
      }
    );
    default = { };
    visible = false;
    description = "What stands for the value of a secret in a template, by the name of the secret.";
    example = literalExpression "config.sops.placeholder.db";
  };
  defaultSopsFile = mkOption {
    type = types.path;
    description = "The file of secrets that name none.";
    example = literalExpression "./secrets/host.yaml";
  };
  defaultSopsFormat = mkOption {
    type = types.str;
    default = "yaml";
    description = "The format of files of secrets that name none.";
    example = "json";
  };
  validateSopsFiles = mkOption {
    type = types.bool;
    default = true;
    description = ''
      Whether the files are looked at when the system is built, which needs them in the store.
      Without it, they are paths on the machine.
    '';
    example = false;
  };
  keepGenerations = mkOption {
    type = types.ints.unsigned;
    default = 1;
    description = "How many sets of secrets are kept, the present one included; 0 keeps all.";
    example = 3;
  };
  log = mkOption {
    type = types.listOf (
      types.enum [
        "keyImport"
        "secretChanges"
      ]
    );
    default = [
      "keyImport"
      "secretChanges"
    ];
    description = "What is written to the log. Values never are.";
    example = [ "secretChanges" ];
  };
  environment = mkOption {
    type = types.attrsOf (types.either types.str types.path);
    default = { };
    description = ''
      Variables for sops-install-secrets. What secretctl has an option for is taken, anything else is
      refused with the name of that option.
    '';
    example = {
      SOPS_AGE_KEY_FILE = "/var/lib/keys.txt";
    };
  };
  package = mkOption {
    type = types.package;
    default = config.secretctl.package;
    defaultText = literalExpression "config.secretctl.package";
    description = "The package that installs secrets; only that of secretctl is taken.";
    example = literalExpression "pkgs.secretctl";
  };
  age = {
    keyFile = mkOption {
      type = types.nullOr pathNotInStore;
      default = null;
      description = "A file on the machine with identities of age.";
      example = "/var/lib/sops-nix/key.txt";
    };
    plugins = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages of plugins of age.";
      example = literalExpression "[ pkgs.age-plugin-tpm ]";
    };
    generateKey = mkOption {
      type = types.bool;
      default = false;
      description = "Whether `keyFile` is made, with a new identity, where it is missing.";
      example = true;
    };
    sshKeyPaths = mkOption {
      type = types.listOf types.path;
      default = hostKeys "ed25519";
      defaultText = keysText "ed25519";
      description = "Private SSH keys on the machine that decrypt, also as keys of age.";
      example = [ "/persist/etc/ssh/ssh_host_ed25519_key" ];
    };
  };
  gnupg = {
    home = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The folder of GnuPG with the private keys that decrypt.";
      example = if isHome then "/home/alice/.gnupg" else "/root/.gnupg";
    };
    package = mkOption {
      type = types.package;
      default = pkgs.gnupg;
      defaultText = literalExpression "pkgs.gnupg";
      description = "The package whose `gpg` is run where {option}`sops.gnupg.home` is set.";
      example = literalExpression "pkgs.gnupg";
    };
    sshKeyPaths = mkOption {
      type = types.listOf types.path;
      default = hostKeys "rsa";
      defaultText = keysText "rsa";
      description = ''
        Private SSH keys on the machine that decrypt, those of kind rsa also as the keys of PGP that
        `ssh-to-pgp` makes of them. `gpg` is not needed for it.
      '';
      example = [ "/etc/ssh/ssh_host_rsa_key" ];
    };
  }
  // lib.optionalAttrs isHome {
    qubes-split-gpg = {
      enable = lib.mkEnableOption "GnuPG in another qube of Qubes OS" // {
        example = true;
      };
      domain = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The qube with the keys.";
        example = "vault-gpg";
      };
    };
  };
}
// lib.optionalAttrs (!isDarwin) {
  defaultSopsKey = mkOption {
    type = types.nullOr types.str;
    default = null;
    description = "Which value of the file, for secrets that do not say; the empty text is the whole file.";
    example = "";
  };
}
// lib.optionalAttrs (!isHome) {
  validationPackage = mkOption {
    type = types.package;
    default = config.secretctl.validationPackage;
    defaultText = literalExpression "config.secretctl.validationPackage";
    description = "The package that looks at the files when the system is built; only that of secretctl is taken.";
    example = literalExpression "pkgs.buildPackages.secretctl";
  };
}
// lib.optionalAttrs isNixos {
  useTmpfs = mkOption {
    type = types.bool;
    default = false;
    description = ''
      Whether secrets are on tmpfs in the place of ramfs, always with `noswap`. A kernel before 6.4
      does not have that and gets no secrets then, unless
      {option}`secretctl.stores.secrets.allowSwap` is set.
    '';
    example = true;
  };
  useSystemdActivation = mkOption {
    type = types.bool;
    default =
      (options.systemd ? sysusers && config.systemd.sysusers.enable)
      || (options.services ? userborn && config.services.userborn.enable);
    defaultText = literalExpression "whether systemd-sysusers or userborn makes the users";
    description = ''
      Whether secrets are installed by units alone. Without it, they are there for activation
      scripts too, where users are made by one.
    '';
    example = true;
  };
}
// lib.optionalAttrs isHome {
  defaultSymlinkPath = mkOption {
    type = types.str;
    default = "${config.xdg.configHome}/sops-nix/secrets";
    defaultText = literalExpression ''"''${config.xdg.configHome}/sops-nix/secrets"'';
    description = "The folder that programs find the secrets in, a link to the newest set of them.";
    example = "/home/alice/.secrets";
  };
  defaultSecretsMountPoint = mkOption {
    type = types.str;
    default = "%r/secrets.d";
    description = "The folder that the sets of secrets are in; `%r` is the runtime folder of the user.";
    example = "%r/my-secrets.d";
  };
}
