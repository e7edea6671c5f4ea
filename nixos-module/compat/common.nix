# What the compatible faces share: texts of other modules, turned into what our options take.
{ lib }:
let
  inherit (builtins)
    fromJSON
    head
    isInt
    isPath
    match
    toString
    unsafeDiscardStringContext
    ;
  sources = import ../sources.nix { inherit lib; };
  digits = text: match "0*([0-9]+)" text;
in
rec {
  # A user or a group, by name or by number; `null` gives the number in its place.
  account =
    name: number:
    if name == null then
      (if number == null then 0 else number)
    else if isInt name then
      name
    else if digits name != null then
      fromJSON (head (digits name))
    else
      name;

  # Whether only a key service opens the file of a secret of sops.
  needsService =
    secret:
    sources.needsService {
      inherit (secret) format;
      file = secret.sopsFile;
    };
  # Variables that key services take.
  isOfService =
    name:
    match "(AWS|AZURE|BAO|GOOGLE|HUAWEICLOUD|IDENTITY|SOPS_GCP_KMS|VAULT)_.*|SOPS_HC_VAULT_ALLOWLIST|(HTTPS?|ALL|NO)_PROXY|(NIX_)?SSL_CERT_FILE" name
    != null;

  isOctal = mode: match "0?[0-7]{3}" mode != null;
  # A mode that an assertion refuses must not end the evaluation before it is reported.
  octal = mode: if isOctal mode then mode else "0400";

  # Whether Nix would copy it to the store, or has done so.
  isInStore =
    path: isPath path || lib.hasPrefix "${builtins.storeDir}/" (unsafeDiscardStringContext (toString path));

  outsideStore = builtins.filter (path: !isInStore path);

  # One for each private key that would be readable by everybody.
  keysStayOut =
    option: paths:
    map (path: {
      assertion = !isInStore path;
      message =
        "`${option}` names ${toString path}, which would be copied to the Nix store, where everybody "
        + "can read it: write the path on the target as a text, \"/etc/ssh/…\" in quotes";
    }) paths;

  modeIsOctal =
    option: mode:
    {
      assertion = isOctal mode;
      message = "`${option}` is `${mode}`: write the mode in octal, as in \"0440\"";
    };

  # The other modules call a program of age; here that is the job of secretctl itself.
  ageProgram =
    option: default: program:
    let
      plain = match "(/[^ ]*/)?r?age" (unsafeDiscardStringContext program) != null;
    in
    {
      assertions = [
        {
          assertion = program == default || plain;
          message =
            "`${option}` is `${program}`: secretctl decrypts by itself and runs no other program for it. "
            + "Remove the setting; plugins go into `secretctl.plugins`, for example "
            + "`secretctl.plugins = [ pkgs.age-plugin-yubikey ]`";
        }
      ];
      warnings = lib.optional (program != default && plain) (
        "`${option}` has no effect: secretctl decrypts by itself. Remove the setting."
      );
    };

  # What others define for a unit of the original is meant for ours: the name is an alias of it, and
  # a unit file of that name would be hidden by the alias.
  unitsNamed =
    options: name:
    builtins.concatMap (
      definition: lib.optional (definition ? ${name}) definition.${name}
    ) options.systemd.services.definitions;

  # Whether users are made by the activation script, and not by a unit.
  usersByScript =
    config: options:
    !(
      (options.systemd ? sysusers && config.systemd.sysusers.enable)
      || (options.services ? userborn && config.services.userborn.enable)
    );

  # A unit of home-manager that is there for its name: it has happened when the secrets are in place.
  homeHook = pkgs: name: {
    Unit = {
      Description = "secrets are in place (for what waits for ${name})";
      Requires = [ "secretctl.service" ];
      After = [ "secretctl.service" ];
    };
    Service = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "${pkgs.coreutils}/bin/true";
    };
    Install.WantedBy = [ "default.target" ];
  };

  # What others define for a daemon of the original has nothing to act on.
  noDaemon =
    options: name:
    map (_: {
      assertion = false;
      message =
        "`launchd.daemons.${name}` is no daemon here: what is set for it is meant for "
        + "`launchd.daemons.secretctl`";
    }) (builtins.filter (definition: definition ? ${name}) options.launchd.daemons.definitions);
}
