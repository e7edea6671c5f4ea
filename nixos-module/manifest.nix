# The manifest: what `secretctl activate` and `secretctl credentials` read, as a value. Pure: the
# configuration in, plain data out. A source file is made part of the store here, and only here, after a look
# at it.
{
  lib,
  config,
  scope,
}:
let
  inherit (builtins)
    attrValues
    filter
    listToAttrs
    map
    mapAttrs
    ;
  cfg = config.secretctl;
  isHome = scope == "home";
  base = import ./defaults.nix { inherit lib config scope; };
  sources = import ./sources.nix { inherit lib; };

  trimmed = lib.removeSuffix "\n";

  source = secret: {
    file = sources.checked (cfg.validation.enable && secret.validated or true) secret;
    format = if secret.format == "armored" then "age" else secret.format;
    key = if builtins.isString secret.key then lib.splitString "/" secret.key else secret.key;
    option = secret.declaredAs;
  };

  pathInStore = piece: "${cfg.stores.${piece.store}.path}/${piece.name}";
  isElsewhere = piece: piece.path != pathInStore piece;

  installed = piece: {
    inherit (piece)
      name
      store
      mode
      required
      ;
    owner = piece.owner or 0;
    group = piece.group or 0;
    links = lib.optional (piece.symlink && isElsewhere piece) piece.path;
    copies = lib.optional (!piece.symlink && isElsewhere piece) piece.path;
    option = piece.declaredAs;
    restartUnits = piece.restartUnits or [ ];
    reloadUnits = piece.reloadUnits or [ ];
  };

  secret =
    secret:
    installed secret
    // source secret
    // {
      transform = if secret.transform == null then null else "${secret.transform}";
      testValue = if cfg.useTestValues then secret.testValue else null;
    };

  template =
    template:
    installed template
    // {
      inherit (template) content;
      file = if template.file == null then null else "${template.file}";
    };

  store = store: {
    inherit (store)
      mountPoint
      filesystem
      allowSwap
      allowDisk
      keepGenerations
      mode
      ;
    link = store.path;
    phase = store.phase or "normal";
    group = store.group or 0;
  };

  plugin =
    package:
    let
      program = base.program package;
    in
    {
      name = lib.removePrefix "age-plugin-" program;
      program = "${package}/bin/${program}";
    };

  services = lib.filterAttrs (_: service: service.secrets != { }) (cfg.services or { });
in
{
  version = 1;
  mode = if isHome then "user" else "system";
  testValues = cfg.useTestValues;
  stores = mapAttrs (_: store) cfg.stores;
  identities = map (file: {
    inherit file;
    kind = "any";
  }) (lib.unique cfg.identities);
  plugins = map plugin cfg.plugins;
  gnupg =
    if cfg.gnupg.home == null then
      null
    else
      {
        inherit (cfg.gnupg) home;
        program = "${cfg.gnupg.package}/bin/gpg";
      };
  keyServices = cfg.keyServices.enable;
  hostPublicKeys = map trimmed (filter (key: key != null) [ cfg.hostPublicKey ]);
  secrets = map secret (attrValues cfg.secrets);
  templates = map template (attrValues cfg.templates);
  placeholders = cfg.foreignPlaceholders;
  services = listToAttrs (
    lib.mapAttrsToList (name: service: {
      name = base.serviceUnit name;
      value.credentials = mapAttrs (_: source) service.secrets;
    }) services
  );
  logging = {
    inherit (cfg.logging) keys changes;
  };
}
