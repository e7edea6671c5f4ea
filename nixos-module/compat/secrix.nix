# `secrix.*` as secrix has it: the same options, defaults and paths, mapped on those of secretctl.
# Secrets of the system are in a store of their own. Those of a service are installed by a unit of
# its own, which lives as long as the service. What cannot be kept is an assertion.
{
  lib,
  config,
  options,
  pkgs,
  ...
}:
let
  inherit (builtins) attrNames attrValues;
  common = import ./common.nix { inherit lib; };
  cfg = config.secrix;
  quoted = lib.strings.escapeNixIdentifier;
  folder = cfg.system.secretsDir;

  shared = import ./secrix-secret.nix { inherit lib pkgs common; };
  service = import ./secrix-service.nix {
    inherit
      lib
      config
      pkgs
      shared
      ;
  };

  systemSecret =
    attribute: secret:
    let
      option = "secrix.system.secrets.${quoted attribute}";
    in
    lib.nameValuePair option (shared.mapped option "secrix" secret);

  program = common.ageProgram "secrix.ageBin" "${pkgs.age}/bin/age" cfg.ageBin;
  isUsed = cfg.system.secrets != { } || cfg.services != { };
in
{
  imports = [ ../nixos.nix ];

  options.secrix = import ./secrix-options.nix { inherit lib config pkgs; };

  config = lib.mkMerge [
    {
      # There even without secrets, so that those of an earlier configuration go.
      secretctl.stores.secrix = {
        path = "/run/${folder.name}";
        mode = common.octal folder.permissions;
        group = common.account folder.group 0;
      };
      systemd.services = lib.mkMerge (
        [
          {
            secretctl = lib.mkMerge (
              [
                {
                  aliases = map (name: "${name}.service") (
                    lib.unique (
                      [
                        "secrix-system-secrets"
                        cfg.system.secretsServiceName
                      ]
                      ++ map (name: "secrix-system-secret-${name}") (attrNames cfg.system.secrets)
                    )
                  );
                }
              ]
              ++ common.unitsNamed options "secrix-system-secrets"
            );
          }
        ]
        ++ lib.mapAttrsToList service.units cfg.services
      );
      systemd.mounts = map service.mountOf (attrValues cfg.services);
      systemd.packages = builtins.concatMap service.dropIns (attrValues cfg.services);
    }
    # As for the secrets of the system. What would change is no news: they come and go with their services.
    (lib.optionalAttrs (options ? system.preSwitchChecks) {
      system.preSwitchChecks = lib.mkIf (cfg.services != { }) {
        secrix = lib.concatMapStrings (name: ''
          [ ! -d /run/systemd/system ] || ${config.secretctl.package}/bin/secretctl activate --dry-run ${service.manifestFile name} >/dev/null || exit 1
        '') (attrNames cfg.services);
      };
    })
    (lib.mkIf isUsed {
      assertions = import ./secrix-assertions.nix {
        inherit
          lib
          config
          common
          shared
          ;
      }
      ++ program.assertions;
      inherit (program) warnings;
      secretctl = {
        identities = common.outsideStore [ cfg.hostIdentityFile ];
        hostPublicKey = lib.mkIf (cfg.hostPubKey != null) (lib.mkDefault cfg.hostPubKey);
        secrets = lib.mapAttrs' systemSecret cfg.system.secrets;
      };
      system.build.secrix-manifests = lib.mapAttrs (name: _: service.manifestFile name) cfg.services;
    })
  ];
}
