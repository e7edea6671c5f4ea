# The options of one secret, one template and one credential of a service.
{
  lib,
  config,
  scope,
}:
let
  inherit (lib) literalExpression mkOption types;
  our = import ./types.nix { inherit lib; };
  base = import ./defaults.nix { inherit lib config scope; };
  isNixos = scope == "nixos";
  isHome = scope == "home";
  hasUnits = scope != "darwin";

  file = mkOption {
    type = types.path;
    description = ''
      The encrypted file. It is copied to the store as it is, encrypted; this host becomes
      one of its readers.
    '';
    example = literalExpression "./secrets/db.age";
  };
  format = mkOption {
    type = our.format;
    default = "auto";
    description = ''
      The format of the file. `auto` looks at its name and its beginning. `armored` is `age` in
      ASCII armor. What is known to be text here (all but `auto` with a name that does not tell
      more, and `age`) is looked at during evaluation, before it could get to the store; the rest
      when the system is built.
    '';
    example = "yaml";
  };
  key = mkOption {
    type = our.keyPath;
    default = null;
    description = ''
      Which value of a file of sops: the names on the way to it, with `/` between them, and numbers
      for members of lists. A list of names serves where one has a `/` in it. `null` is the whole
      file.
    '';
    example = "db/password";
  };
  encryptKeys = mkOption {
    type = our.publicKeys;
    default = { };
    description = ''
      Public keys of people who can read this secret, beside
      {option}`secretctl.defaultEncryptKeys`, by name.
    '';
    example = {
      bob = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... bob@laptop";
    };
  };

  # What secrets and templates have in common: where they are put, and for whom.
  installed =
    {
      what,
      option,
      name,
      config,
    }:
    {
      name = mkOption {
        type = our.name;
        default = name;
        defaultText = literalExpression "<name>";
        description = "The name of the file below the folder of the store; may have folders in it.";
        example = "web/tls.key";
      };
      store = mkOption {
        type = types.str;
        default = if config.early or false then "early" else "secrets";
        defaultText = literalExpression ''"secrets", and "early" with `early`'';
        description = "The store of {option}`secretctl.stores` that it is installed in.";
        example = "secrets";
      };
      path = mkOption {
        type = if isHome then our.runtimePath else our.absolutePath;
        default = "${base.pathOfStore config.store}/${config.name}";
        defaultText = literalExpression ''"''${config.secretctl.stores.<store>.path}/''${name}"'';
        description = ''
          Where programs find it. Another path than the default is a link to it, or a file of its
          own if `symlink` is off.
        '';
        example = "/etc/app/token";
      };
      mode = mkOption {
        type = our.fileMode;
        default = "0400";
        description = "The mode of the file. Whoever it lets read, can read the secret.";
        example = "0440";
      };
      symlink = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether `path`, where it is not the default, is a link. Otherwise it is a file of its
          own, for programs that refuse links, and the plaintext lies wherever that is, also on a
          disk.
        '';
        example = false;
      };
      required = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether the system is in order only with it: if it cannot be installed,
          `secretctl.target` is not reached when the host starts, and a switch ends with an error, with
          `secretctl.service` failed. What could not be renewed keeps its last value in any case,
          and services that run go on with it.
        '';
        example = false;
      };
      declaredAs = mkOption {
        type = types.str;
        default = "secretctl.${option}.${lib.strings.escapeNixIdentifier name}";
        defaultText = literalExpression ''"secretctl.${option}.<name>"'';
        internal = true;
        description = "The option that messages name.";
        example = "sops.secrets.db";
      };
    }
    // lib.optionalAttrs hasUnits {
      restartUnits = mkOption {
        type = types.listOf our.unit;
        default = [ ];
        description = "Units that are restarted when ${what} has changed, if they run.";
        example = [ "nginx.service" ];
      };
      reloadUnits = mkOption {
        type = types.listOf our.unit;
        default = [ ];
        description = "Units that are reloaded when ${what} has changed, if they run.";
        example = [ "nginx.service" ];
      };
    }
    // lib.optionalAttrs (!isHome) {
      owner = mkOption {
        type = our.account;
        default = 0;
        description = "The user that owns the file, by name or number.";
        example = "nginx";
      };
      group = mkOption {
        type = our.account;
        default = base.groupOf config.owner;
        defaultText = literalExpression "config.users.users.<owner>.group, and 0 for a number";
        description = "The group of the file, by name or number.";
        example = "nginx";
      };
    }
    // lib.optionalAttrs isNixos {
      early = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether it is installed before users exist, as for a `hashedPasswordFile`. It belongs to
          root, or to a number, then.
        '';
        example = true;
      };
    };
in
{
  secret = types.submodule (
    { name, config, ... }:
    {
      options =
        installed {
          inherit name config;
          what = "the secret";
          option = "secrets";
        }
        // {
          inherit
            file
            format
            key
            encryptKeys
            ;
          transform = mkOption {
            type = types.nullOr types.path;
            default = null;
            description = ''
              A program that makes the file out of the secret: it finds the plaintext in the file
              that the variable `inFile` names, and prints what is installed. It runs on the
              machine, as the user that installs.
            '';
            example = literalExpression ''
              pkgs.writeShellScript "trim" "exec tr -d '\\n' <\"$inFile\""
            '';
          };
          fileDeclaredAs = mkOption {
            type = types.str;
            default = "${config.declaredAs}.file";
            defaultText = literalExpression ''"''${declaredAs}.file"'';
            internal = true;
            description = "The option that messages about the file name.";
            example = "sops.secrets.db.sopsFile";
          };
          validated = mkOption {
            type = types.bool;
            default = true;
            internal = true;
            description = "Whether the file is there when the system is built, to be looked at.";
            example = false;
          };
          testValue = mkOption {
            type = types.nullOr types.str;
            default = null;
            description = ''
              What is installed with {option}`secretctl.useTestValues` in the place of the secret.
              It is in the store, where everybody can read it: never a real one.
            '';
            example = "not a secret";
          };
        };
    }
  );

  template = types.submodule (
    { name, config, ... }:
    {
      options =
        installed {
          inherit name config;
          what = "what is in the file";
          option = "templates";
        }
        // {
          content = mkOption {
            type = types.nullOr types.lines;
            default = null;
            description = ''
              The text, with {option}`secretctl.placeholder` where secrets go. It is in the store,
              where everybody can read it.
            '';
            example = literalExpression ''"PASSWORD=''${config.secretctl.placeholder.db}\n"'';
          };
          file = mkOption {
            type = types.nullOr types.path;
            default = null;
            description = "A file with the text, in the place of `content`.";
            example = literalExpression "./app.env.in";
          };
        };
    }
  );

  credential =
    service:
    types.submodule (
      { name, ... }:
      {
        options = {
          inherit
            file
            format
            key
            encryptKeys
            ;
          path = mkOption {
            type = our.absolutePath;
            default = "/run/credentials/${base.serviceUnit service}/${name}";
            defaultText = literalExpression ''"/run/credentials/<service>.service/<name>"'';
            readOnly = true;
            description = ''
              Where the service finds it while it runs: in its folder of credentials, which systemd
              names in `CREDENTIALS_DIRECTORY`. Nobody but the service and root can read it.
            '';
            example = "/run/credentials/nginx.service/tls";
          };
          declaredAs = mkOption {
            type = types.str;
            default =
              let
                quoted = map lib.strings.escapeNixIdentifier [
                  service
                  name
                ];
              in
              "secretctl.services.${builtins.elemAt quoted 0}.secrets.${builtins.elemAt quoted 1}";
            defaultText = literalExpression ''"secretctl.services.<service>.secrets.<name>"'';
            internal = true;
            description = "The option that messages name.";
            example = "secrix.services.nginx.secrets.tls";
          };
        };
      }
    );
}
