# Names of sops-nix in home-manager that other modules put themselves before or after, and the key
# that is made where there is none.
{
  lib,
  config,
  pkgs,
  common,
  ...
}:
let
  cfg = config.sops;
  file = if cfg.age.keyFile == null then "%h/.config/sops/age/keys.txt" else cfg.age.keyFile;
  isLinux = pkgs.stdenv.hostPlatform.isLinux;
in
lib.mkIf (cfg.secrets != { } || cfg.templates != { }) {
  systemd.user.services = lib.mkIf isLinux {
    # home-manager makes no aliases. Whoever waits for this waits for the secrets, and whoever starts it
    # anew has them installed anew.
    sops-nix = common.homeHook pkgs "sops-nix";
    secretctl.Unit.PartOf = [ "sops-nix.service" ];
    sops-generate-age-key = lib.mkIf cfg.age.generateKey {
      Unit = {
        Description = "make the key of age that opens secrets";
        Before = [ "secretctl.service" ];
        ConditionPathExists = "!${file}";
      };
      Service = {
        Type = "oneshot";
        UMask = "0077";
        ExecStart = [
          "${pkgs.coreutils}/bin/mkdir -p ${dirOf file}"
          "${pkgs.age}/bin/age-keygen -o ${file}"
        ];
      };
      Install.RequiredBy = [ "secretctl.service" ];
    };
  };
  assertions = [
    {
      assertion = isLinux || !cfg.age.generateKey;
      message =
        "`sops.age.generateKey` makes no key in home-manager on macOS: make one with `age-keygen -o FILE` and name it "
        + "in `sops.age.keyFile`";
    }
  ];
  # The name alone, for what comes after it.
  home.activation.sops-nix = lib.hm.dag.entryAfter [ "secretctl" ] "";
}
