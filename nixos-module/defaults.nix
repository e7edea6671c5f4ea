# Defaults that are computed, and differ between NixOS, nix-darwin and home-manager.
{
  lib,
  config,
  scope,
  pkgs ? null,
}:
let
  inherit (builtins) filter isString map;
  cfg = config.secretctl;
  isHome = scope == "home";
  persisted = import ./persistence.nix { inherit lib config; };
  home = config.home.homeDirectory;
in
{
  storePath =
    name:
    if isHome then
      "${config.xdg.configHome or "${home}/.config"}/secretctl/${name}"
    else if name == "early" then
      "/run/secrets-early"
    else
      "/run/${name}";
  storePathText =
    if isHome then
      ''"''${config.xdg.configHome}/secretctl/<name>"''
    else
      ''"/run/<name>", and "/run/secrets-early" for `early`'';
  mountPoint = name: store: if isHome then "%r/secretctl/${name}.d" else "${store.path}.d";
  mountPointText = if isHome then ''"%r/secretctl/<name>.d"'' else ''"''${path}.d"'';
  filesystem = if isHome && !pkgs.stdenv.hostPlatform.isDarwin then "directory" else "ramfs";
  storeMode = if isHome then "0700" else "0751";
  storeGroup = if scope == "nixos" then "keys" else 0;

  pathOfStore =
    store:
    (cfg.stores.${store}
      or (throw "there is no store `${store}`: declare it as `secretctl.stores.${store} = { };`")
    ).path;

  # The group of a user is known where the user is declared.
  groupOf =
    owner:
    let
      user = config.users.users.${owner} or { };
    in
    if !isString owner then
      0
    else if scope == "darwin" then
      user.gid or 0
    else
      user.group or 0;

  # The name of the program of a package.
  program = package: package.meta.mainProgram or package.pname or (lib.getName package);

  serviceUnit = service: "${lib.removeSuffix ".service" service}.service";

  # Keys of SSH that openssh makes. One that is a secret itself cannot open secrets.
  identities =
    let
      openssh = config.services.openssh or { };
      fits =
        key:
        builtins.elem key.type [
          "ed25519"
          "rsa"
        ]
        && !(builtins.any (store: lib.hasPrefix "${store.path}/" key.path) (
          builtins.attrValues cfg.stores
        ));
      hostKeys = map (key: persisted key.path) (filter fits (openssh.hostKeys or [ ]));
    in
    if isHome then
      [ "${home}/.ssh/id_ed25519" ]
    else if scope == "darwin" then
      [ "/etc/ssh/ssh_host_ed25519_key" ]
    else if openssh.enable or false then
      hostKeys
    else
      [ ];
  identitiesText =
    if isHome then
      ''[ "''${config.home.homeDirectory}/.ssh/id_ed25519" ]''
    else if scope == "darwin" then
      ''[ "/etc/ssh/ssh_host_ed25519_key" ]''
    else
      "the keys of kind ed25519 and rsa in config.services.openssh.hostKeys, if it is enabled, where impermanence keeps them";

  placeholders = import ./placeholders.nix { inherit lib cfg; };
}
