# Packages as inert derivations: enough to evaluate, never built; but those in Rust and what is made
# by `runCommand` are, with what `host.nix` gives.
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
  names = [
    "age"
    "cargo"
    "cargo-deny"
    "clippy"
    "git"
    "nixfmt-rfc-style"
    "openssh"
    "rage"
    "rustc"
    "rustfmt"
  ];
  self = lib.genAttrs names package // {
    inherit lib system;
    mkShell = { packages }: package "shell" // { inherit packages; };
    stdenv = {
      hostPlatform = { inherit system; };
      buildPlatform.canExecute = platform: platform.system == system;
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
