# The manifests of sops-nix, as build outputs for whatever reads them there. Our own is another file;
# `sops-install-secrets`, a name of our program, reads these.
{
  lib,
  config,
  pkgs,
}:
let
  inherit (builtins) attrValues elem toJSON;
  cfg = config.sops;
  isForUsers = _: secret: secret.neededForUsers;
  manifest =
    name: secrets: templates: folder:
    pkgs.writeTextFile {
      inherit name;
      text = toJSON {
        secrets = attrValues secrets;
        templates = attrValues templates;
        secretsMountPoint = "${folder}.d";
        symlinkPath = folder;
        inherit (cfg) keepGenerations;
        gnupgHome = cfg.gnupg.home;
        sshKeyPaths = cfg.gnupg.sshKeyPaths;
        ageKeyFile = cfg.age.keyFile;
        ageSshKeyPaths = cfg.age.sshKeyPaths;
        useTmpfs = cfg.useTmpfs or false;
        placeholderBySecretName = lib.mapAttrs (_: text: "${text}") cfg.placeholder;
        userMode = false;
        logging = {
          keyImport = elem "keyImport" cfg.log;
          secretChanges = elem "secretChanges" cfg.log;
        };
      };
    };
in
{
  sops-nix-manifest =
    manifest "manifest.json" (lib.filterAttrs (n: s: !isForUsers n s) cfg.secrets) cfg.templates
      "/run/secrets";
  sops-nix-users-manifest =
    manifest "manifest-for-users.json" (lib.filterAttrs isForUsers cfg.secrets) { }
      "/run/secrets-for-users";
}
