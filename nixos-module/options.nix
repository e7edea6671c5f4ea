# The options that say who may read what. Declarations only, and on purpose: installing secrets
# on a target is the job of the wirings beside this file, which take their options from here.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  publicKeys = types.either types.str (types.listOf types.str);
  secrets = mkOption {
    type = types.attrsOf (
      types.submodule {
        options.file = mkOption {
          type = types.path;
          description = ''
            The encrypted file. It is copied to the store as it is, encrypted; this host becomes
            one of its readers.
          '';
          example = lib.literalExpression "./secrets/db.age";
        };
      }
    );
    default = { };
    description = ''
      Secrets by name. Declaring one makes this host a reader of its file: `secretctl rekey`
      encrypts it to the host's public key.
    '';
    example = lib.literalExpression "{ db.file = ./secrets/db.age; }";
  };
in
{
  options.secretctl = {
    hostPublicKey = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = ''
        The public key that secrets for this host are encrypted to: the line of
        `/etc/ssh/ssh_host_ed25519_key.pub` there, or an age recipient. It is public; the private
        key never leaves the host.
      '';
      example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... root@web1";
    };
    defaultEncryptKeys = mkOption {
      type = types.attrsOf publicKeys;
      default = { };
      description = ''
        Public keys of the people who can read every secret of the flake, by name. Whoever is
        here can read all secrets of all hosts.
      '';
      example = {
        alice = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... alice@laptop";
      };
    };
    inherit secrets;
    services = mkOption {
      type = types.attrsOf (types.submodule { options = { inherit secrets; }; });
      default = { };
      description = ''
        Secrets of single systemd units, by unit name. Declaring one makes this host a reader of
        its file, as for {option}`secretctl.secrets`.
      '';
      example = lib.literalExpression "{ nginx.secrets.tls.file = ./secrets/tls.age; }";
    };
  };
}
