# A look at source files before they get to the store. Nix can read text alone: a file that is known
# to be text is looked at here, any other when the manifest is checked during the build.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    any
    match
    readFile
    toString
    ;

  suffixes = {
    yaml = [
      ".yaml"
      ".yml"
    ];
    json = [ ".json" ];
    dotenv = [ ".env" ];
    ini = [ ".ini" ];
    armored = [ ".asc" ];
  };
  # What is known of a file without reading it.
  formatOf =
    secret:
    let
      fits = format: any (suffix: lib.hasSuffix suffix (toString secret.file)) suffixes.${format};
      known = builtins.filter fits (builtins.attrNames suffixes);
    in
    if secret.format != "auto" then
      secret.format
    else if known == [ ] then
      "auto"
    else
      builtins.head known;

  has = needle: text: lib.hasInfix needle text;
  encryptedValue = has "ENC[AES256_GCM,";
  # By format: whether a text is one that secretctl or the tool of its format has encrypted.
  isEncrypted = {
    yaml = text: encryptedValue text && has "\nsops:" "\n${text}";
    json = text: encryptedValue text && has "\"sops\"" text;
    # sops keeps binary content in JSON
    binary = text: encryptedValue text && has "\"sops\"" text;
    dotenv = text: encryptedValue text && has "\nsops_" "\n${text}";
    ini = text: encryptedValue text && has "\n[sops]" "\n${text}";
    armored = has "-----BEGIN AGE ENCRYPTED FILE-----";
  };
  # Any text that is encrypted in one of these ways: a name says little.
  isEncryptedSomehow = text: any (test: test text) (builtins.attrValues isEncrypted);
  isAge = text: match "age-encryption[.]org/v1\n.*" text != null;

  # Whether the file is there already, and is not to be built first.
  isHere =
    file:
    builtins.isPath file
    || (
      builtins.isString file
      && !(any (context: context ? outputs) (builtins.attrValues (builtins.getContext file)))
    );

  # The option that names the file.
  option = secret: secret.fileDeclaredAs or "${secret.declaredAs}.file";

  # What is wrong with the source of a secret, as far as it can be seen now; null if nothing.
  problem =
    secret:
    let
      format = formatOf secret;
      text = addErrorContext "while looking at `${option secret}`, which is to be text in format ${format}" (
        readFile secret.file
      );
      file = toString secret.file;
    in
    if !(isHere secret.file) then
      null
    else if !(builtins.pathExists secret.file) then
      "`${option secret}` is ${file}, which does not exist: create it with `secretctl edit`, "
      + "and in a flake add it to git"
    else if !(isEncrypted ? ${format}) then
      null
    else if isEncryptedSomehow text || isAge text then
      null
    else
      "`${option secret}` is not encrypted: ${file} would be readable by everybody in the store: "
      + "encrypt it with `secretctl encrypt`, and give what it holds a new value if it was ever "
      + "committed or built with";
  # Whether a key service alone can open a file of sops, as far as can be seen here: it has its key neither for
  # age nor for PGP.
  needsService =
    secret:
    let
      format = formatOf secret;
      text = readFile secret.file;
    in
    isEncrypted ? ${format}
    && format != "armored"
    && isHere secret.file
    && builtins.pathExists secret.file
    && isEncryptedSomehow text
    && any (name: has name text) [
      "kms"
      "azure_kv"
      "hc_vault"
    ]
    && !(isAge text)
    && !(has "-----BEGIN AGE ENCRYPTED FILE-----" text)
    && !(has "-----BEGIN PGP MESSAGE-----" text);
in
{
  inherit
    formatOf
    needsService
    option
    problem
    ;

  # Variables of key services that nobody may read.
  secretVariables = [
    "AWS_SECRET_ACCESS_KEY"
    "AWS_SESSION_TOKEN"
    "AZURE_CLIENT_CERTIFICATE_PASSWORD"
    "AZURE_CLIENT_SECRET"
    "AZURE_PASSWORD"
    "BAO_TOKEN"
    "GOOGLE_OAUTH_ACCESS_TOKEN"
    "HUAWEICLOUD_SDK_SECURITY_TOKEN"
    "HUAWEICLOUD_SDK_SK"
    "VAULT_TOKEN"
  ];

  # The file as the store has it.
  checked =
    isEnabled: secret:
    let
      found = problem secret;
    in
    if isEnabled && found != null then throw "secretctl: ${found}" else "${secret.file}";
}
