# What is refused of `sops.*`, each with the way out.
{
  lib,
  config,
  common,
  scope,
  keyPaths,
}:
let
  inherit (builtins) concatMap;
  isNixos = scope == "nixos";
  isHome = scope == "home";
  cfg = config.sops;
  quoted = lib.strings.escapeNixIdentifier;
  secretsForUsers = lib.filterAttrs (_: secret: secret.neededForUsers or false) cfg.secrets;
  sysusers = config.systemd.sysusers.enable or false;

  isInStore =
    file: builtins.isPath file || lib.hasPrefix "${builtins.storeDir}/" (builtins.unsafeDiscardStringContext "${file}");

  hasAny = parts: text: builtins.replaceStrings parts (map (_: "") parts) text != text;
  # The names of recipients that an age or SSH key fits, and what is wrapped for PGP, as every format of sops
  # writes them.
  usable = [
    "age1"
    "ssh-ed25519 "
    "ssh-rsa "
  ]
  ++ lib.optional hasPgpKeys "BEGIN PGP MESSAGE";
  # Any that was added may be one.
  hasPgpKeys =
    cfg.gnupg.home != null
    || cfg.gnupg.sshKeyPaths != [ ]
    || lib.subtractLists keyPaths config.secretctl.identities != [ ];
  onlyForeignReaders =
    file:
    cfg.validateSopsFiles
    && isInStore file
    && builtins.pathExists file
    && !hasAny usable (builtins.readFile file);

  bothGiven =
    option: name: number: names: numbers:
    {
      assertion = !(number != null && number != 0 && name != null);
      message =
        "`${option}` has both `${names}` (${toString name}) and `${numbers}` (${toString number}): keep one of them";
    };

  ofPiece =
    option: piece:
    [ (common.modeIsOctal "${option}.mode" piece.mode) ]
    ++ lib.optionals (!isHome) [
      (bothGiven option piece.owner piece.uid "owner" "uid")
      (bothGiven option piece.group piece.gid "group" "gid")
    ];

  ofSecret =
    name: secret:
    let
      option = "sops.secrets.${quoted name}";
      file = secret.sopsFile;
    in
    ofPiece option secret
    ++ [
      {
        assertion = !cfg.validateSopsFiles || isInStore file;
        message =
          "`${option}.sopsFile` is ${toString file}, which is not in the Nix store and so cannot be looked at "
          + "when the system is built: write it as a path of Nix, or set `sops.validateSopsFiles = false`";
      }
      {
        assertion = !onlyForeignReaders file || common.needsService secret;
        message =
          "`${option}.sopsFile` can be opened by key services alone, which are not asked here"
          + lib.optionalString (!hasPgpKeys) ", or by keys of PGP, of which this machine has none"
          + ": add the age key of this host to `.sops.yaml` (`secretctl host add NAME --scan ADDRESS` prints it) and "
          + "run `secretctl rekey`"
          + lib.optionalString (!hasPgpKeys) ", or set `sops.gnupg.sshKeyPaths` or `sops.gnupg.home`";
      }
    ]
    ++ lib.optional (!isHome) {
      assertion =
        !secret.neededForUsers
        || (
          builtins.elem secret.owner [ null "root" "0" ]
          && builtins.elem secret.uid [ null 0 ]
          && builtins.elem secret.group ([ null "root" "0" ] ++ lib.optional (scope == "darwin") "staff")
          && builtins.elem secret.gid [ null 0 ]
        );
      message =
        "`${option}` is needed before users exist and so belongs to root: take `owner`, `group`, `uid` and `gid` "
        + "out, or `neededForUsers`";
    };

  known = [
    "SOPS_GPG_EXEC"
    "SOPS_AGE_KEY_FILE"
    "SOPS_AGE_SSH_PRIVATE_KEY_FILE"
  ];
  insteadOf = {
    GNUPGHOME = "`sops.gnupg.home`";
    PATH = "`sops.age.plugins`, for plugins";
    SOPS_AGE_KEY = "a file, named by `sops.age.keyFile`: here it would be in the store";
  };
  ofVariable = name: {
    assertion = builtins.elem name known
      || config.secretctl.keyServices.enable && common.isOfService name;
    message =
      "`sops.environment.${quoted name}` has no effect, since no sops is run: "
      + (if insteadOf ? ${name} then "use ${insteadOf.${name}}" else "remove it");
  };
  gpg = "${cfg.gnupg.package}/bin/gpg";
in
[
  {
    assertion = keyPaths != [ ] || cfg.gnupg.home != null;
    message =
      "nothing could decrypt `sops.secrets`: set `sops.age.sshKeyPaths` or `sops.age.keyFile` to a private key of "
      + "this machine, or enable openssh, whose host keys are the default, or set `sops.gnupg.home`";
  }
  {
    assertion = !cfg.age.generateKey || cfg.age.keyFile != null;
    message = "`sops.age.generateKey` makes the file that `sops.age.keyFile` names: set that too";
  }
  {
    assertion = cfg.package == config.secretctl.package;
    message =
      "`sops.package` is not run, secretctl installs the secrets: remove the setting, and set `secretctl.package` for "
      + "another build of it";
  }
  {
    assertion = (cfg.environment.SOPS_GPG_EXEC or gpg) == gpg;
    message =
      "`sops.environment.SOPS_GPG_EXEC` is not taken: set `sops.gnupg.package` to the package whose `gpg` is to be run";
  }
]
++ common.keysStayOut "sops.age.sshKeyPaths" cfg.age.sshKeyPaths
++ common.keysStayOut "sops.gnupg.sshKeyPaths" cfg.gnupg.sshKeyPaths
++ concatMap (name: ofSecret name cfg.secrets.${name}) (builtins.attrNames cfg.secrets)
++ concatMap (name: ofPiece "sops.templates.${quoted name}" cfg.templates.${name}) (
  builtins.attrNames cfg.templates
)
++ map ofVariable (builtins.attrNames cfg.environment)
++ lib.optionals (!isHome) [
  {
    assertion = cfg.validationPackage == config.secretctl.validationPackage;
    message =
      "`sops.validationPackage` is not run, secretctl looks at the files: remove the setting, and set "
      + "`secretctl.validationPackage` for another build of it";
  }
]
++ lib.optionals isNixos [
  {
    assertion = !(secretsForUsers != { } && sysusers) || config.users.mutableUsers;
    message =
      "`sops.secrets.<name>.neededForUsers` with `systemd.sysusers.enable` needs `users.mutableUsers = true`: with "
      + "false, systemd-sysusers takes no passwords at boot";
  }
]
++ lib.optionals isHome [
  {
    assertion = !cfg.gnupg.qubes-split-gpg.enable;
    message =
      "`sops.gnupg.qubes-split-gpg.enable` cannot be kept: put a program `gpg` that sets QUBES_GPG_DOMAIN and "
      + "calls qubes-gpg-client-wrapper into a package, name that in `sops.gnupg.package`, set `sops.gnupg.home` and turn the option off";
  }
]
