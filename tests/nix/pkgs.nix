# Packages as inert derivations: enough to evaluate, seldom built; but those in Rust and what is made
# by `runCommand` are, with what `host.nix` gives, and files that are written, with what any machine has.
{ lib, system }:
let
  host = import ./host.nix;
  # What nixpkgs hands on to a build, as far as our packages use it.
  build =
    {
      name,
      command,
      variables,
      meta,
    }:
    derivation (
      {
        inherit name system;
        builder = host.bash;
        args = [ "-eu" ] ++ command;
      }
      // host.variables
      // variables
    )
    // {
      inherit meta;
    };
  package =
    name:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [
        "-c"
        ": > $out"
      ];
    }
    // {
      meta.mainProgram = name;
    };
  # A file, as `writeTextFile` makes it; its check is run.
  file =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
    }:
    derivation {
      # a name of a store path has fewer characters than a name of a unit
      name = lib.replaceStrings [ "@" "\\" ":" ] [ "-" "-" "-" ] name;
      inherit system text checkPhase;
      passAsFile = [ "text" ];
      builder = "/bin/sh";
      args = [
        "-euc"
        ''
          target=$out${destination}
          mkdir -p "''${target%/*}"
          cp "$textPath" "$target"
          chmod ${if executable then "755" else "644"} "$target"
          eval "$checkPhase"
        ''
      ];
      PATH = "/usr/bin:/bin";
    };
  names = [
    "age"
    "age-plugin-tpm"
    "age-plugin-yubikey"
    "cargo"
    "cargo-deny"
    "clippy"
    "coreutils"
    "findutils"
    "getconf"
    "git"
    "gnupg"
    "nixfmt-rfc-style"
    "openssh"
    "openssl"
    "rage"
    "rustc"
    "rustfmt"
    "systemd"
    "xkcdpass"
  ];
  self = lib.genAttrs names package // {
    inherit lib system;
    mkShell = { packages }: package "shell" // { inherit packages; };
    stdenv = {
      hostPlatform = {
        inherit system;
        isLinux = lib.hasSuffix "-linux" system;
        isDarwin = lib.hasSuffix "-darwin" system;
      };
      buildPlatform.canExecute = platform: platform.system == system;
    };
    writeTextFile = file;
    writeText = name: text: file { inherit name text; };
    writeShellScript =
      name: text:
      file {
        inherit name;
        text = "#!/bin/sh\n${text}";
        executable = true;
      };
    testers.runNixOSTest = import ./nixos/stand-in/vm.nix {
      inherit lib;
      pkgs = self;
    };
    linkFarm =
      name: entries:
      derivation {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-euc"
          ("mkdir $out\n" + lib.concatMapStrings (entry: "ln -s ${entry.path} $out/${entry.name}\n") entries)
        ];
        PATH = "/usr/bin:/bin";
      };
    installShellFiles = ./install-shell-files.sh;
    rustPlatform.buildRustPackage =
      args:
      let
        name = "${args.pname}-${args.version}";
        known = builtins.removeAttrs args [
          "cargoLock"
          "doCheck"
          "meta"
        ];
        made =
          if host == null then
            builtins.seq args.src (package name)
          else
            build {
              inherit name;
              inherit (args) meta;
              command = [ ./build-rust-package.sh ];
              variables = known;
            };
      in
      builtins.seq (builtins.readFile args.cargoLock.lockFile) made
      // {
        inherit (args) version meta;
      };
    runCommand =
      name: attributes: text:
      if host == null then
        builtins.seq text (package name)
      else
        build {
          inherit name;
          meta = attributes.meta or { };
          command = [
            "-c"
            text
          ];
          variables = builtins.removeAttrs attributes [ "meta" ];
        };
    callPackage =
      file: args:
      let
        f = import file;
      in
      f (builtins.intersectAttrs (builtins.functionArgs f) self // args);
  };
in
self
