# `age.*` as agenix has it, on NixOS, and with `secretctlScope` on nix-darwin and home-manager:
# the same options, defaults and paths, mapped on those of secretctl. What cannot be kept is an
# assertion.
{
  lib,
  config,
  options,
  pkgs,
  ...
}@args:
let
  inherit (lib)
    literalExpression
    mkEnableOption
    mkOption
    types
    ;
  scope = args.secretctlScope or "nixos";
  isNixos = scope == "nixos";
  isHome = scope == "home";
  isDarwin = scope == "darwin";
  common = import ./common.nix { inherit lib; };
  cfg = config.age;
  quoted = lib.strings.escapeNixIdentifier;

  # The shell puts the folder in where a script uses it, and `secretctl` where it installs.
  runtimeFolder = if pkgs.stdenv.hostPlatform.isDarwin then runtimeOfDarwin else "\${XDG_RUNTIME_DIR}";
  runtimeOfDarwin = "$(${pkgs.getconf}/bin/getconf DARWIN_USER_TEMP_DIR)";
  uid = config.home.uid or null;
  userFolder =
    name:
    if uid != null && !pkgs.stdenv.hostPlatform.isDarwin then
      "/run/user/${toString uid}/${name}"
    else
      "${runtimeFolder}/${name}";
  absolute =
    path:
    let
      known = builtins.filter (prefix: lib.hasPrefix prefix path) [
        runtimeFolder
        "$XDG_RUNTIME_DIR"
      ];
    in
    if !isHome || known == [ ] then path else "%r${lib.removePrefix (builtins.head known) path}";

  openssh = config.services.openssh or { };
  identityPaths =
    if isHome then
      map (name: "${config.home.homeDirectory}/.ssh/${name}") [
        "id_ed25519"
        "id_rsa"
      ]
    else if isDarwin then
      map (name: "/etc/ssh/${name}") [
        "ssh_host_ed25519_key"
        "ssh_host_rsa_key"
      ]
    else if openssh.enable or false then
      map (key: key.path) (
        builtins.filter (key: key.type == "rsa" || key.type == "ed25519") openssh.hostKeys
      )
    else
      [ ];

  secret = types.submodule (
    { name, config, ... }:
    {
      options = {
        name = mkOption {
          type = types.str;
          default = name;
          defaultText = literalExpression "<name>";
          description = "The name of the file in {option}`age.secretsDir`.";
          example = "wifi";
        };
        file = mkOption {
          type = types.path;
          description = "The encrypted file, of age.";
          example = literalExpression "./secrets/wifi.age";
        };
        path = mkOption {
          type = types.str;
          default = "${cfg.secretsDir}/${config.name}";
          defaultText = literalExpression ''"''${config.age.secretsDir}/''${name}"'';
          description = "Where programs find the plaintext.";
          example = "/etc/wifi.conf";
        };
        mode = mkOption {
          type = types.str;
          default = "0400";
          description = "The mode of the file, in octal. Whoever it lets read, can read the secret.";
          example = "0440";
        };
        symlink = mkEnableOption "a link at `path`, in the place of a file of its own" // {
          default = true;
          example = false;
        };
      }
      // lib.optionalAttrs (!isHome) {
        owner = mkOption {
          type = types.str;
          default = "0";
          description = "The user that owns the file, by name or number.";
          example = "nginx";
        };
        group = mkOption {
          type = types.str;
          default = users.${config.owner}.group or "0";
          defaultText = literalExpression ''config.users.users.''${owner}.group or "0"'';
          description = "The group of the file, by name or number.";
          example = "nginx";
        };
      };
    }
  );
  users = config.users.users or { };

  mapped =
    attribute: secret:
    let
      declaredAs = "age.secrets.${quoted attribute}";
    in
    lib.nameValuePair "age.secrets.${attribute}" (
      {
        inherit declaredAs;
        inherit (secret) name file;
        # at its own place it is a file already
        symlink = secret.symlink || secret.path == "${cfg.secretsDir}/${secret.name}";
        store = "agenix";
        format = "age";
        path = absolute secret.path;
        mode = common.octal secret.mode;
      }
      // lib.optionalAttrs (!isHome) {
        owner = common.account secret.owner 0;
        group = common.account secret.group 0;
      }
    );
  # with agenix-rekey, some are not for this host
  installed = lib.filterAttrs (_: secret: secret.installed or true) cfg.secrets;

  # Passwords of users want secrets early. Where units make the users, what is on a file system that is
  # mounted later is waited for instead; a copy that is made before that would lie below it, on a disk.
  mountedLate = import ../boot-file-systems.nix { inherit lib config; };
  byScript = common.usersByScript config options;
  lateCopies = lib.filterAttrs (_: secret: !secret.symlink && mountedLate secret.path != null) installed;
  comeLate =
    isNixos
    && !byScript
    && (
      lateCopies != { }
      || builtins.any (path: mountedLate path != null) (common.outsideStore cfg.identityPaths)
    );
  ofCopies = lib.optionals (isNixos && byScript) (
    lib.mapAttrsToList (name: secret: {
      assertion = false;
      message =
        "`age.secrets.${quoted name}` is copied to ${secret.path} before ${mountedLate secret.path} is mounted, and would "
        + "stay below it on the disk: set `fileSystems.\"${mountedLate secret.path}\".neededForBoot = true`, or leave "
        + "`symlink` on";
    }) lateCopies
  );

  program =
    if isHome then
      {
        assertions = [ ];
        warnings = lib.optional (cfg.package != pkgs.age) (
          "`age.package` has no effect: secretctl decrypts by itself. Remove the setting."
        );
      }
    else
      common.ageProgram "age.ageBin" "${pkgs.age}/bin/age" cfg.ageBin;
in
{
  imports = [
    {
      nixos = ../nixos.nix;
      home = ../home-manager.nix;
      darwin = ../darwin.nix;
    }
    .${scope}
  ]
  ++ lib.optional (!isHome) (
    lib.mkRenamedOptionModule [ "age" "sshKeyPaths" ] [ "age" "identityPaths" ]
  );

  options.age = {
    secrets = mkOption {
      type = types.attrsOf secret;
      default = { };
      description = "Secrets of age files, by name.";
      example = literalExpression "{ wifi.file = ./secrets/wifi.age; }";
    };
    identityPaths = mkOption {
      type = types.listOf types.path;
      default = identityPaths;
      defaultText = literalExpression "the SSH keys of this machine, or of the user";
      description = ''
        Private keys on the machine that decrypt. Write them as texts: a path of Nix would be copied
        to the store, and is refused.
      '';
      example = [ "/persist/etc/ssh/ssh_host_ed25519_key" ];
    };
    secretsDir = mkOption {
      type = if isHome then types.str else types.path;
      default = if isHome then userFolder "agenix" else "/run/agenix";
      defaultText = literalExpression (
        if isHome then ''"''${XDG_RUNTIME_DIR}/agenix", without the variable where home.uid is set'' else ''"/run/agenix"''
      );
      description = "The folder that programs find the secrets in, a link to the newest set of them.";
      example = "/run/agenix";
    };
    secretsMountPoint = mkOption {
      type = types.addCheck types.str (
        path: builtins.match "[ \t\n]*" path == null && builtins.match ".+/" path == null
      )
      // {
        description = "string, not empty and without a slash at its end";
      };
      default = if isHome then userFolder "agenix.d" else "/run/agenix.d";
      defaultText = literalExpression (
        if isHome then ''"''${XDG_RUNTIME_DIR}/agenix.d", without the variable where home.uid is set'' else ''"/run/agenix.d"''
      );
      description = "The folder that the sets of secrets are in, without a `/` at its end.";
      example = "/run/agenix.d";
    };
  }
  // (
    if isHome then
      {
        package = mkOption {
          type = types.package;
          default = pkgs.age;
          defaultText = literalExpression "pkgs.age";
          description = "Kept for configurations that set it: secretctl decrypts by itself.";
          example = literalExpression "pkgs.rage";
        };
      }
    else
      {
        ageBin = mkOption {
          type = types.str;
          default = "${pkgs.age}/bin/age";
          defaultText = literalExpression ''"''${pkgs.age}/bin/age"'';
          description = "Kept for configurations that set it: secretctl decrypts by itself.";
          example = literalExpression ''"''${pkgs.rage}/bin/rage"'';
        };
      }
  );

  config = lib.mkMerge [
    {
      # There even without secrets, so that those of an earlier configuration go.
      secretctl.stores.agenix = {
        path = absolute cfg.secretsDir;
        mountPoint = absolute cfg.secretsMountPoint;
      }
      // lib.optionalAttrs isNixos { phase = if comeLate then "normal" else "both"; };
    }
    (lib.mkIf (cfg.secrets != { }) {
      assertions = [
        {
          assertion = cfg.identityPaths != [ ];
          message =
            "`age.identityPaths` is empty, so that nothing could be decrypted: name a private key of this "
            + "machine there, or enable openssh, whose host keys are its default";
        }
      ]
      ++ common.keysStayOut "age.identityPaths" cfg.identityPaths
      ++ lib.mapAttrsToList (
        name: secret: common.modeIsOctal "age.secrets.${quoted name}.mode" secret.mode
      ) cfg.secrets
      ++ ofCopies
      ++ program.assertions;
      inherit (program) warnings;
      secretctl = {
        identities = common.outsideStore cfg.identityPaths;
        secrets = lib.mapAttrs' mapped installed;
      };
    })
    (lib.optionalAttrs isNixos (import ./age-hooks.nix { inherit lib config options common; }))
    (lib.optionalAttrs isHome (
      lib.mkIf (cfg.secrets != { } && pkgs.stdenv.hostPlatform.isLinux) {
        systemd.user.services = {
          agenix = common.homeHook pkgs "agenix";
          secretctl.Unit.PartOf = [ "agenix.service" ];
        };
      }
    ))
    (lib.optionalAttrs isDarwin {
      assertions = common.noDaemon options "activate-agenix";
    })
  ];
}
