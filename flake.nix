{
  description = "Keeps the secrets of a NixOS fleet encrypted in git";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      eachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      # By its path, so that several that import the same have it once.
      module = file: { imports = [ file ]; };
      modules = builtins.mapAttrs (_: module);
    in
    {
      # secretctl = inputs.secretctl.lib.rules self;
      lib.rules = import ./nixos-module/rules.nix;
      # testScript = inputs.secretctl.lib.leakTest + "…";
      lib.leakTest = import ./nixos-module/leak-test.nix;

      # `agenix`, `agenix-rekey`, `sops-nix` and `secrix` take the options of these.
      nixosModules = modules {
        default = ./nixos-module/nixos.nix;
        secretctl = ./nixos-module/nixos.nix;
        agenix = ./nixos-module/compat/age.nix;
        agenix-rekey = ./nixos-module/compat/age-rekey.nix;
        sops-nix = ./nixos-module/compat/sops.nix;
        secrix = ./nixos-module/compat/secrix.nix;
      };
      homeModules = modules {
        default = ./nixos-module/home-manager.nix;
        secretctl = ./nixos-module/home-manager.nix;
        agenix = ./nixos-module/compat/age-home.nix;
        agenix-rekey = ./nixos-module/compat/age-rekey.nix;
        sops-nix = ./nixos-module/compat/sops-home.nix;
      };
      darwinModules = modules {
        default = ./nixos-module/darwin.nix;
        secretctl = ./nixos-module/darwin.nix;
        agenix = ./nixos-module/compat/age-darwin.nix;
        agenix-rekey = ./nixos-module/compat/age-rekey.nix;
        sops-nix = ./nixos-module/compat/sops-darwin.nix;
      };

      overlays.default = final: _: {
        secretctl = final.callPackage ./nixos-module/package.nix { };
        secretctl-front-ends = final.callPackage ./nixos-module/front-ends.nix { };
      };

      packages = eachSystem (
        pkgs:
        let
          secretctl = pkgs.callPackage ./nixos-module/package.nix { };
        in
        {
          inherit secretctl;
          default = secretctl;
          # `agenix`, `ragenix`, `sops` and `sops-install-secrets`, in the place of the real ones
          secretctl-front-ends = pkgs.callPackage ./nixos-module/front-ends.nix { inherit secretctl; };
        }
      );

      apps = eachSystem (pkgs: {
        default = {
          type = "app";
          program = "${self.packages.${pkgs.stdenv.hostPlatform.system}.default}/bin/secretctl";
          meta.description = "Edit, rekey and inspect the secrets of a repository";
        };
      });

      checks = eachSystem (
        pkgs:
        let
          inherit (pkgs.stdenv.hostPlatform) system isLinux;
        in
        {
          package = self.packages.${system}.default;
          front-ends = self.packages.${system}.secretctl-front-ends;
        }
        // lib.optionalAttrs isLinux (
          lib.mapAttrs' (name: value: {
            name = "vm-${name}";
            inherit value;
          }) (import ./nixos-module/tests/vm { inherit pkgs; })
        )
      );

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.age
            pkgs.cargo
            pkgs.cargo-deny
            pkgs.clippy
            pkgs.git
            pkgs.openssh
            pkgs.rage
            pkgs.rustc
            pkgs.rustfmt
          ];
        };
      });

      formatter = eachSystem (pkgs: pkgs.nixfmt-rfc-style);
    };
}
