# Secrets that live as long as a service. The unit of the keys installs them into a file system in
# memory of its own and takes it away when it stops, and the two units are bound to each other.
#
# A user that systemd makes up (DynamicUser) is not known when the keys are installed. Its secrets are
# for root there, systemd hands them to the service as credentials, and the path that is promised is
# a link to that credential, which nobody but the service can follow.
{
  lib,
  config,
  pkgs,
  shared,
}:
let
  inherit (builtins) any attrValues map;
  inherit (import ../mounts.nix { inherit lib; }) mount word;
  cfg = config.secrix;
  quoted = lib.strings.escapeNixIdentifier;
  coreutils = "${pkgs.coreutils}/bin";

  # Below the folder of the keys; nothing else can have that name, which has a `/` in it.
  hiddenName = secret: "for-systemd/${secret.decrypted.name}";
  credentialName = secret: "secrix.${secret.decrypted.name}";
  dynamic = service: builtins.filter shared.isDynamic (attrValues service.secrets);

  store = service: {
    path = "/run/${service.secretsDirName}";
    mountPoint = "/run/${service.secretsDirName}.d";
    filesystem = "ramfs";
    allowSwap = false;
    allowDisk = false;
    keepGenerations = 1;
    mode = "0755";
    group = 0;
    phase = "normal";
  };

  # What our options would say, for the few secrets of one service.
  ours =
    name: service:
    let
      folder = "/run/${service.secretsDirName}";
      piece =
        attribute: secret:
        let
          option = "secrix.services.${quoted name}.secrets.${quoted attribute}";
          plain = shared.mapped option "keys" secret // {
            symlink = true;
            required = true;
            key = null;
            testValue = null;
            validated = true;
            restartUnits = [ ];
            reloadUnits = [ ];
          };
          hidden = {
            name = hiddenName secret;
            path = "${folder}/${hiddenName secret}";
            mode = "0400";
            group = 0;
          };
        in
        if shared.isDynamic secret then plain // hidden else plain;
    in
    config
    // {
      secretctl = config.secretctl // {
        stores.keys = store service;
        secrets = lib.mapAttrs piece service.secrets;
        templates = { };
        services = { };
        foreignPlaceholders = { };
      };
    };
  manifestFile =
    name:
    let
      config' = ours name cfg.services.${name};
      manifest = import ../manifest.nix {
        inherit lib;
        config = config';
        scope = "nixos";
      };
    in
    import ../checked.nix {
      inherit lib pkgs;
      config = config' // {
        secretctl = config'.secretctl // {
          inherit manifest;
        };
      };
    };
  hardening =
    service:
    (import ../hardening.nix {
      inherit lib;
      runsPrograms =
        config.secretctl.plugins != [ ]
        || config.secretctl.gnupg.home != null
        || any (secret: secret.decrypted.builder != null) (attrValues service.secrets);
    }).activate;
in
{
  inherit manifestFile;

  units =
    name: service:
    let
      folder = "/run/${service.secretsDirName}";
      unit = "${service.systemdService}.service";
      keysUnit = "${service.secretsServiceName}.service";
      link =
        secret:
        "${coreutils}/ln -sfT /run/credentials/${unit}/${credentialName secret} ${folder}/${secret.decrypted.name}";
    in
    {
      ${service.secretsServiceName} = {
        description = "Secrets of ${unit}";
        before = [ unit ];
        bindsTo = [ unit ];
        unitConfig.RequiresMountsFor = map word [
          cfg.hostIdentityFile
          "${folder}.d"
        ];
        serviceConfig = hardening service // {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = [
            "${config.secretctl.package}/bin/secretctl activate ${manifestFile name}"
          ]
          ++ map link (dynamic service);
          # also after a failure, so that half of the secrets never stay
          ExecStopPost = [
            "${pkgs.findutils}/bin/find ${folder}.d -mindepth 1 -delete"
            "${coreutils}/rm -f ${folder}"
          ];
        };
      };
      ${service.systemdService} = {
        after = [ keysUnit ];
        bindsTo = [ keysUnit ];
        serviceConfig =
          lib.mkIf (service.additionalRuntimeDirNames != [ ] || service.forceRuntimeDirs)
            {
              RuntimeDirectory =
                (if service.forceRuntimeDirs then lib.mkForce else lib.id)
                  service.additionalRuntimeDirNames;
            };
      };
    };

  # The memory goes with the unit that needs it.
  mountOf = service: mount (store service) // {
    unitConfig = {
      DefaultDependencies = false;
      StopWhenUnneeded = true;
    };
  };

  # A drop-in and no definition of the service: whether its user is made up is known from the service
  # itself, which cannot depend on that.
  dropIns =
    service:
    let
      lines = map (
        secret:
        "LoadCredential=${credentialName secret}:/run/${service.secretsDirName}/${hiddenName secret}\n"
      ) (dynamic service);
    in
    lib.optional (lines != [ ]) (
      pkgs.writeTextFile {
        name = "secrix-${service.systemdService}";
        destination = "/etc/systemd/system/${service.systemdService}.service.d/secrix.conf";
        text = "[Service]\n${lib.concatStrings lines}";
      }
    );
}
