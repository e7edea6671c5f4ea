# The options of NixOS that modules of secrets touch, and what NixOS makes of them.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (builtins) isString;
  systemd = import ./systemd.nix { inherit lib pkgs; };
  option =
    type: default:
    mkOption {
      inherit type default;
    };
  script = types.either types.str (
    types.submodule {
      options = {
        deps = option (types.listOf types.str) [ ];
        text = option types.lines "";
        supportsDryActivation = option types.bool false;
      };
    }
  );
  snippet =
    value:
    if isString value then
      {
        text = value;
        deps = [ ];
      }
    else
      value;
  # Each after those that it names, by name otherwise.
  order =
    set:
    let
      missing = name: throw "activation script '${name}' does not exist";
      go =
        done: name:
        if builtins.elem name done then
          done
        else
          builtins.foldl' go done (snippet (set.${name} or (missing name))).deps ++ [ name ];
    in
    lib.unique (builtins.foldl' go [ ] (builtins.attrNames set));
  account = types.attrsOf (
    types.submodule (
      { name, ... }:
      {
        freeformType = types.attrsOf types.anything;
        options = {
          name = option types.str name;
          uid = option (types.nullOr types.int) null;
          group = option types.str "";
          isNormalUser = option types.bool false;
          hashedPasswordFile = option (types.nullOr types.str) null;
        };
      }
    )
  );
  unitsMakeUsers = config.systemd.sysusers.enable || config.services.userborn.enable;
in
{
  options = {
    assertions = option (types.listOf types.unspecified) [ ];
    warnings = option (types.listOf types.str) [ ];
    systemd = {
      package = option types.package pkgs.systemd;
      packages = option (types.listOf types.package) [ ];
      services = option systemd.services { };
      sockets = option systemd.sockets { };
      timers = option systemd.timers { };
      targets = option systemd.targets { };
      mounts = option systemd.mounts [ ];
      units = option (types.attrsOf types.unspecified) { };
      user.services = option systemd.services { };
      tmpfiles.rules = option (types.listOf types.str) [ ];
      sysusers.enable = option types.bool false;
    };
    services.userborn.enable = option types.bool false;
    services.openssh = {
      enable = option types.bool false;
      hostKeys = option (types.listOf types.attrs) [
        {
          type = "rsa";
          bits = 4096;
          path = "/etc/ssh/ssh_host_rsa_key";
        }
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
      ];
    };
    networking.hostName = option types.str "nixos";
    environment = {
      systemPackages = option (types.listOf types.package) [ ];
      etc = option (types.attrsOf types.unspecified) { };
    };
    users.mutableUsers = option types.bool true;
    users.users = option account { };
    users.groups = option (types.attrsOf (types.submodule { freeformType = types.attrsOf types.anything; })) { };
    fileSystems = option (types.attrsOf (
      types.submodule {
        freeformType = types.attrsOf types.anything;
        options.neededForBoot = option types.bool false;
      }
    )) { };
    boot.initrd = option (types.attrsOf types.anything) { };
    virtualisation.vmVariant = option (types.attrsOf types.anything) { };
    system = {
      build = option (types.lazyAttrsOf types.unspecified) { };
      stateVersion = option types.str "26.11";
      activationScripts = mkOption {
        type = types.attrsOf script;
        default = { };
        apply =
          set:
          set
          // {
            script = lib.concatMapStrings (
              name: "#### Activation script snippet ${name}:\n_localstatus=0\n${(snippet set.${name}).text}\n"
            ) (order set);
          };
      };
    };
  };
  config = {
    users.users.root = {
      uid = 0;
      group = "root";
    };
    users.groups = lib.genAttrs [ "root" "keys" "users" "nogroup" ] (_: { });
    system.activationScripts =
      lib.genAttrs [ "specialfs" "groups" ] (_: {
        text = "";
      })
      // lib.optionalAttrs (!unitsMakeUsers) {
        users.text = "update-users-groups";
      };
    systemd.units = systemd.render {
      inherit (config.systemd)
        services
        sockets
        timers
        targets
        mounts
        ;
    };
    # A system is not made while an assertion fails.
    system.build.toplevel =
      let
        failed = builtins.filter (one: !one.assertion) config.assertions;
      in
      if failed != [ ] then
        throw "Failed assertions:\n${lib.concatMapStrings (one: "- ${one.message}\n") failed}"
      else
        pkgs.linkFarm "nixos-system" (
          lib.mapAttrsToList (name: unit: {
            inherit name;
            path = pkgs.writeText name unit.text;
          }) config.systemd.units
        );
  };
}
