# All options of `secretctl`: the declarations that the modules for NixOS, home-manager and
# nix-darwin share. `secretctlScope` says for which of them; as a module of its own this file is that
# for NixOS. What the values lead to is in the wirings beside this file.
{
  lib,
  config,
  pkgs,
  ...
}@args:
let
  inherit (lib) literalExpression mkOption types;
  scope = args.secretctlScope or "nixos";
  isNixos = scope == "nixos";
  isHome = scope == "home";
  our = import ./types.nix { inherit lib; };
  cfg = config.secretctl;
  base = import ./defaults.nix {
    inherit
      lib
      config
      scope
      pkgs
      ;
  };
  inherit (import ./secret-options.nix { inherit lib config scope; })
    secret
    template
    credential
    ;

  store = types.submodule (
    { name, config, ... }:
    {
      options = {
        path = mkOption {
          type = if isHome then our.runtimePath else our.absolutePath;
          default = base.storePath name;
          defaultText = literalExpression base.storePathText;
          description = ''
            Where programs find the secrets: a link to the newest complete set of them. It changes
            to a new set in one step.
          '';
          example = "/run/keys-of-mine";
        };
        mountPoint = mkOption {
          type = our.runtimePath;
          default = base.mountPoint name config;
          defaultText = literalExpression base.mountPointText;
          description = ''
            The folder that holds the sets of secrets. It is a file system of its own in memory,
            so that nothing of them gets to a disk.
          '';
          example = "/run/keys-of-mine.d";
        };
        filesystem = mkOption {
          type = types.enum [
            "ramfs"
            "tmpfs"
            "directory"
          ];
          default = base.filesystem;
          defaultText = literalExpression ''"ramfs", and "directory" in home-manager on Linux'';
          description = ''
            What is mounted: `ramfs`, which is never swapped out (on macOS, a disk in memory),
            `tmpfs` with `noswap`, which has a limit of size but needs Linux 6.4, or `directory`:
            nothing is mounted, and the folder must lie in memory already.
          '';
          example = "tmpfs";
        };
        allowSwap = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether `tmpfs` may be used where the kernel has no `noswap`. Plaintext may then get
            to the swap device; allow it only where that is encrypted, or where there is none.
          '';
          example = true;
        };
        allowDisk = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether a `directory` may lie on a disk. Plaintext is then written to that disk, and
            may be recovered from it later.
          '';
          example = true;
        };
        keepGenerations = mkOption {
          type = types.ints.unsigned;
          default = 1;
          description = ''
            How many sets of secrets are kept, the present one included; 0 keeps all. Old ones are
            plaintext too.
          '';
          example = 3;
        };
        mode = mkOption {
          type = our.fileMode;
          default = base.storeMode;
          defaultText = literalExpression ''"0751", and "0700" in home-manager'';
          description = ''
            The mode of the folders. With `0751`, all can get at a file whose name they know and
            whose own mode lets them, but only the group can list the names.
          '';
          example = "0750";
        };
      }
      // lib.optionalAttrs (!isHome) {
        group = mkOption {
          type = our.account;
          default = base.storeGroup;
          defaultText = literalExpression ''"keys", and 0 on macOS'';
          description = "The group of the folders, which can list the names of secrets.";
          example = "keys";
        };
      }
      // lib.optionalAttrs isNixos {
        phase = mkOption {
          type = types.enum [
            "early"
            "normal"
            "both"
          ];
          default = if name == "early" then "early" else "normal";
          defaultText = literalExpression ''"normal", and "early" for the store `early`'';
          description = ''
            When the secrets are installed: `early` is before users exist, as their passwords
            need it, and all belongs to root or to numbers then; `normal` is after that; `both`
            does it early and sets the owners later.
          '';
          example = "both";
        };
      };
    }
  );
in
{
  options.secretctl = {
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package whose `secretctl` installs the secrets on this machine.";
      example = literalExpression "pkgs.secretctl";
    };
    validationPackage = mkOption {
      type = types.package;
      default =
        if pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
          cfg.package
        else
          pkgs.buildPackages.callPackage ./package.nix { };
      defaultText = literalExpression "config.secretctl.package, for the machine that builds";
      description = "The package whose `secretctl` checks the secrets during the build.";
      example = literalExpression "pkgs.buildPackages.secretctl";
    };
    validation.enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the build fails where a secret could not be installed: it is not encrypted, lacks
        a value that is asked for, or cannot be read with
        {option}`secretctl.hostPublicKey`. Without this, a file in plaintext is copied to
        the store, where everybody can read it.
      '';
      example = false;
    };
    hostPublicKey = mkOption {
      type = types.nullOr our.publicKey;
      default = null;
      description = ''
        The public key that secrets for this host are encrypted to: the line of
        `/etc/ssh/ssh_host_ed25519_key.pub` there, or an age recipient. It is public; the private
        key never leaves the host.
      '';
      example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... root@web1";
    };
    defaultEncryptKeys = mkOption {
      type = our.publicKeys;
      default = { };
      description = ''
        Public keys of the people who can read every secret of the flake, by name. Whoever is
        here can read all secrets of all hosts.
      '';
      example = {
        alice = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... alice@laptop";
      };
    };
    identities = mkOption {
      type = types.listOf our.externalPath;
      default = base.identities;
      defaultText = literalExpression base.identitiesText;
      description = ''
        Private keys on this machine, tried in this order: of SSH, files of age, or what
        `gpg --export-secret-keys` writes, all without a passphrase. A key of SSH is used as what
        `ssh-to-age` and `ssh-to-pgp` make of it, too. They are paths on the machine, as text, and
        never copied to the store, where everybody could read them. A path that Nix would copy is
        refused.
      '';
      example = [ "/persist/etc/ssh/ssh_host_ed25519_key" ];
    };
    plugins = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = ''
        Packages of plugins of age, `age-plugin-…`. Only these are ever run, whatever a file or an
        identity names.
      '';
      example = literalExpression "[ pkgs.age-plugin-tpm ]";
    };
    gnupg = {
      home = mkOption {
        type = types.nullOr our.externalPath;
        default = null;
        description = ''
          The folder of GnuPG with private keys for files of sops that are encrypted for PGP. `gpg`
          is not run at all without it; keys of PGP in {option}`secretctl.identities` need none.
        '';
        example = "/root/.gnupg";
      };
      package = mkOption {
        type = types.package;
        default = pkgs.gnupg;
        defaultText = literalExpression "pkgs.gnupg";
        description = "The package whose `gpg` is run where {option}`secretctl.gnupg.home` is set.";
        example = literalExpression "pkgs.gnupg";
      };
    };
    stores = mkOption {
      type = types.attrsOf store;
      default = { };
      description = ''
        Places that secrets are installed in, by name. `secrets` is there always, and on NixOS
        `early`.
      '';
      example = literalExpression ''{ secrets.filesystem = "tmpfs"; }'';
    };
    secrets = mkOption {
      type = types.attrsOf secret;
      default = { };
      description = ''
        Secrets by name. Declaring one makes this host a reader of its file: `secretctl rekey`
        encrypts it to the host's public key.
      '';
      example = literalExpression "{ db.file = ./secrets/db.age; }";
    };
    templates = mkOption {
      type = types.attrsOf template;
      default = { };
      description = ''
        Files that are put together on the machine, out of text and secrets. The text is in the
        store, the values are not.
      '';
      example = literalExpression ''
        { "app.env".content = "PASSWORD=''${config.secretctl.placeholder.db.systemd-env}\n"; }
      '';
    };
    placeholder = mkOption {
      type = types.attrsOf types.raw;
      default = base.placeholders;
      defaultText = literalExpression "one for each secret";
      readOnly = true;
      description = ''
        What stands for the value of a secret in a template, by the name of the secret. An
        attribute writes it as some syntax wants it: `json`, `shell`, `systemd-env`, `url`,
        `base64`, or without white space around it: `trim`. A value is never looked at for
        placeholders again.
      '';
      example = literalExpression ''"password = ''${config.secretctl.placeholder.db.json}"'';
    };
    foreignPlaceholders = mkOption {
      type = types.attrsOf (types.attrsOf types.str);
      default = { };
      internal = true;
      description = "Placeholders of another form, and what they stand for.";
      example = {
        "<SOPS:db:PLACEHOLDER>" = {
          store = "secrets";
          secret = "db";
        };
      };
    };
    useTestValues = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether secrets that have a `testValue` are installed with it, for virtual machines and
        tests that have no keys. A switch of a real system with it is refused.
      '';
      example = true;
    };
    logging = {
      keys = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the identities that are used are named in the log.";
        example = false;
      };
      changes = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether secrets that were added, changed or removed are named in the log. Values never
          are.
        '';
        example = false;
      };
    };
    keyServices = {
      enable = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether key services (AWS KMS, Google Cloud KMS, Azure Key Vault, Vault, Huawei Cloud KMS) are
          asked for secrets that no key of this machine opens. `secretctl-network.service` does it when
          there is a network, so that what opens here never waits; with it `secretctl-network.target`
          is reached on NixOS. In home-manager it is a service of the user, with the user's credentials, and on
          macOS a daemon or an agent; these ask when they start. What failed is tried again each minute. Whoever
          the service lets use its key can read those secrets.
        '';
        example = true;
      };
      environment = mkOption {
        type = types.attrsOf types.str;
        default = { };
        description = ''
          Variables for the services, as their own programs take them. They are in the store, where
          everybody can read them: nothing that is secret.
        '';
        example = {
          VAULT_ADDR = "https://vault.example:8200";
        };
      };
      environmentFiles = mkOption {
        type = types.listOf our.externalPath;
        default = [ ];
        description = ''
          Files with variables for the services, lines of `NAME=value` on the machine. They may hold
          credentials, and may be secrets that a key of this machine opens. On macOS a value is taken as it
          stands, with its quotes.
        '';
        example = [ "/run/secrets/vault.env" ];
      };
    };
    manifest = mkOption {
      type = types.raw;
      default = import ./manifest.nix { inherit lib config scope; };
      defaultText = literalExpression "made of the options";
      readOnly = true;
      internal = true;
      description = "What `secretctl activate` reads.";
      example = {
        version = 1;
      };
    };
    manifestFile = mkOption {
      type = types.package;
      default = import ./checked.nix { inherit lib config pkgs; };
      defaultText = literalExpression "made of the options";
      readOnly = true;
      internal = true;
      description = "The file with the manifest, which is there only if the check found nothing.";
      example = literalExpression ''pkgs.writeText "secretctl-manifest.json" "{ }"'';
    };
  }
  // lib.optionalAttrs isNixos {
    services = mkOption {
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options.secrets = mkOption {
              type = types.attrsOf (credential name);
              default = { };
              description = ''
                Secrets of this service, by the name of the credential. They are decrypted when it
                starts, into memory that only it can read, and are gone when it stops.
              '';
              example = literalExpression "{ tls.file = ./secrets/tls.age; }";
            };
          }
        )
      );
      default = { };
      description = ''
        Secrets of single systemd services, by the name of the service. Declaring one makes this
        host a reader of its file, as for {option}`secretctl.secrets`.
      '';
      example = literalExpression "{ nginx.secrets.tls.file = ./secrets/tls.age; }";
    };
  };

  config.secretctl.stores = {
    secrets = { };
  }
  // lib.optionalAttrs isNixos { early = { }; };
}
