# What is refused of `secrix.*`, each with the way out.
{
  lib,
  config,
  common,
  shared,
}:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    filter
    isString
    length
    map
    match
    ;
  cfg = config.secrix;
  quoted = lib.strings.escapeNixIdentifier;
  folder = cfg.system.secretsDir;

  repeated = names: lib.unique (filter (name: length (filter (n: n == name) names) > 1) names);
  differ = option: names: {
    assertion = repeated names == [ ];
    message =
      "`${option}` is the same for several: ${lib.concatStringsSep ", " (repeated names)}. Each needs one of its own";
  };
  isFileName = name: match "[^/[:space:]%\"'\\\\]+" name != null && name != "." && name != "..";
  # names of credentials are narrower than those of files
  isCredentialName = name: match "[a-zA-Z0-9._@-]+" name != null;

  ofSecret =
    option: directory: secret:
    [
      (common.modeIsOctal "${option}.decrypted.mode" secret.decrypted.mode)
      {
        assertion = isFileName secret.decrypted.name;
        message =
          "`${option}.decrypted.name` is `${secret.decrypted.name}`: it is the name of one file, without `/`, quotes, `%` and white space";
      }
      {
        assertion = !shared.isDynamic secret || isCredentialName secret.decrypted.name;
        message =
          "`${option}.decrypted.name` is `${secret.decrypted.name}`: systemd hands it to a DynamicUser under this name, "
          + "so use letters, digits, `.`, `_`, `@` and `-`";
      }
      {
        assertion = !shared.isDynamic secret || secret.decrypted.mode == "0400";
        message =
          "`${option}.decrypted.mode` is `${secret.decrypted.mode}`, but a user that systemd makes up alone can read "
          + "its secrets: take the mode out, or give the service a `User` of `users.users`";
      }
      {
        assertion =
          !(isString secret.decrypted.builder) || !(lib.hasInfix directory secret.decrypted.builder);
        message =
          "`${option}.decrypted.builder` writes below ${directory} by itself: print what is to be installed, or make it a "
          + "function, `out: \"… >\${out}\"`";
      }
    ];

  ofService =
    name: service:
    let
      option = "secrix.services.${quoted name}";
      directory = "/run/${service.secretsDirName}";
    in
    [
      (differ "${option}.secrets.<name>.decrypted.name" (
        map (secret: secret.decrypted.name) (attrValues service.secrets)
      ))
      {
        assertion = isFileName service.secretsDirName;
        message = "`${option}.secretsDirName` is `${service.secretsDirName}`: it is the name of one folder, without `/`";
      }
      {
        assertion = !(builtins.elem service.secretsDirName service.additionalRuntimeDirNames);
        message =
          "`${option}.additionalRuntimeDirNames` names `${service.secretsDirName}`, which is the folder of the secrets: "
          + "take it out, it is made by `${service.secretsServiceName}.service`";
      }
    ]
    ++ concatMap (
      attribute: ofSecret "${option}.secrets.${quoted attribute}" directory service.secrets.${attribute}
    ) (attrNames service.secrets);
  services = attrValues cfg.services;
in
[
  {
    assertion = builtins.elem folder.user [
      "0"
      "root"
    ];
    message =
      "`secrix.system.secretsDir.user` is `${folder.user}`: the folder of secrets belongs to root, or that user could "
      + "put files of its own among them. Give access with `permissions` and `group`";
  }
  (common.modeIsOctal "secrix.system.secretsDir.permissions" folder.permissions)
  (differ "secrix.services.<name>.secretsDirName, secrix.system.secretsDir.name" (
    map (service: service.secretsDirName) services ++ [ folder.name ]
  ))
  (differ "secrix.services.<name>.secretsServiceName" (
    map (service: service.secretsServiceName) services
  ))
  (differ "secrix.system.secrets.<name>.decrypted.name" (
    map (secret: secret.decrypted.name) (attrValues cfg.system.secrets)
  ))
]
++ common.keysStayOut "secrix.hostIdentityFile" [ cfg.hostIdentityFile ]
++ concatMap (
  attribute:
  ofSecret "secrix.system.secrets.${quoted attribute}" "/run/${folder.name}"
    cfg.system.secrets.${attribute}
) (attrNames cfg.system.secrets)
++ concatMap (name: ofService name cfg.services.${name}) (attrNames cfg.services)
