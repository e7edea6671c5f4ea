# The options of `secrix.*` as secrix declares them.
{
  lib,
  config,
  pkgs,
}:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.secrix;

  text =
    default: description: example:
    mkOption {
      type = types.str;
      inherit default description example;
    };
  keys =
    default: description:
    mkOption {
      type = types.attrsOf (types.listOf types.str);
      inherit default description;
      example = {
        alice = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... alice@laptop" ];
      };
    };

  # `folder` is the name of the folder below /run; user and group have defaults that the service knows.
  secret =
    {
      folder,
      user,
      group,
    }:
    types.submodule (
      { name, config, ... }:
      {
        options = {
          name = text name "The name of the secret, and of its file where that has none of its own." "wifi";
          encryptKeys =
            keys cfg.defaultEncryptKeys "Public keys of the people who can read it, by name."
            // {
              defaultText = literalExpression "config.secrix.defaultEncryptKeys";
            };
          encrypted.file = mkOption {
            type = types.path;
            description = "The encrypted file, of age.";
            example = literalExpression "./secrets/wifi";
          };
          decrypted = {
            name =
              text config.name "The name of the file with the plaintext." "wifi.conf"
              // {
                defaultText = literalExpression "name";
              };
            mode = text "0400" "The mode of the file. Whoever it lets read, can read the secret." "0440";
            user = user config;
            group = group config;
            path = mkOption {
              type = types.str;
              default = "/run/${folder}/${config.decrypted.name}";
              defaultText = literalExpression ''"/run/<folder>/''${decrypted.name}"'';
              readOnly = true;
              description = "Where programs find the plaintext.";
              example = "/run/system-keys/wifi";
            };
            builder = mkOption {
              type = types.nullOr (types.either types.lines (types.functionTo types.lines));
              default = null;
              description = ''
                A script of bash that makes the file out of the secret, which it finds in the file
                `$inFile`. A function gets the path to write to; a text prints what is installed.
              '';
              example = literalExpression ''out: "tr -d '\\n' <$inFile >''${out}"'';
            };
          };
        };
      }
    );

  systemSecret = secret {
    folder = cfg.system.secretsDir.name;
    user = _: text "0" "The user that owns the file." "nginx";
    group = _: text "0" "The group of the file." "nginx";
  };

  service = types.submodule (
    { name, config, ... }:
    {
      options = {
        secretsDirName = text "${name}-keys" "The name of the folder below `/run`." "web-keys";
        systemdService = text name "The name of the service, without `.service`." "nginx";
        secretsServiceName = text "${name}-keys" "The name of the unit that decrypts." "nginx-keys";
        additionalRuntimeDirNames = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = ''
            Further folders below `/run` that the service gets. The one for secrets is made by the unit
            that decrypts, so that this is needed no more.
          '';
          example = [ "nginx" ];
        };
        forceRuntimeDirs = mkOption {
          type = types.bool;
          default = false;
          description = "Whether `additionalRuntimeDirNames` takes the place of what the service has.";
          example = true;
        };
        secrets = mkOption {
          type = types.attrsOf (secret {
            folder = config.secretsDirName;
            user =
              _:
              mkOption {
                type = types.nullOr types.str;
                default = userOf config.systemdService;
                defaultText = literalExpression ''
                  the User of the service if it is declared, null with DynamicUser, and "0"
                '';
                description = "The user that owns the file; `null` is the one that systemd makes up.";
                example = "nginx";
              };
            group =
              secret:
              text (config'.users.users.${toString secret.decrypted.user}.group or "0") "The group of the file." "nginx"
              // {
                defaultText = literalExpression ''config.users.users.''${decrypted.user}.group or "0"'';
              };
          });
          description = "Secrets that are there while the service runs, by name.";
          example = literalExpression "{ tls.encrypted.file = ./secrets/tls; }";
        };
      };
    }
  );
  config' = config;

  userOf =
    unit:
    let
      service = config.systemd.services.${unit}.serviceConfig or { };
      user = service.User or "0";
      isDeclared = builtins.any (u: u.name == (if user == "0" then "root" else user)) (
        builtins.attrValues (config.users.users or { })
      );
    in
    if service ? User && isDeclared then
      user
    else if service.DynamicUser or false then
      null
    else
      "0";
in
{
  ageBin =
    text "${pkgs.age}/bin/age" "Kept for configurations that set it: secretctl decrypts by itself."
      "/run/current-system/sw/bin/age"
    // {
      defaultText = literalExpression ''"''${pkgs.age}/bin/age"'';
    };
  system = {
    secretsDir = {
      name = text "system-keys" "The name of the folder below `/run` for secrets of the system." "keys";
      permissions = text "111" "The mode of that folder." "0751";
      user = text "0" "The user that owns that folder; only root is taken." "0";
      group = text "0" "The group of that folder." "keys";
    };
    secretsServiceName = text "system-keys" "Another name of the unit that decrypts." "system-keys";
    secrets = mkOption {
      type = types.attrsOf systemSecret;
      default = { };
      description = "Secrets that are there while the system runs, by name.";
      example = literalExpression "{ wifi.encrypted.file = ./secrets/wifi; }";
    };
  };
  hostIdentityFile =
    text "/etc/ssh/ssh_host_ed25519_key" "The private key on the machine that decrypts."
      "/persist/etc/ssh/ssh_host_ed25519_key";
  defaultEncryptKeys = keys { } "Public keys of the people who can read every secret that names no others.";
  hostPubKey = mkOption {
    type = types.nullOr types.str;
    default = null;
    description = "The public key of this machine, which its secrets are encrypted to.";
    example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... root@web1";
  };
  services = mkOption {
    type = types.attrsOf service;
    default = { };
    description = "Secrets of single services, by the name of the service.";
    example = literalExpression "{ nginx.secrets.tls.encrypted.file = ./secrets/tls; }";
  };
}
