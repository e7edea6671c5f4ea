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
    in
    {
      # secretctl = inputs.secretctl.lib.rules self;
      lib.rules = import ./nixos-module/rules.nix;

      nixosModules.default = import ./nixos-module/options.nix;

      overlays.default = final: _: {
        secretctl = final.callPackage ./nixos-module/package.nix { };
        secretctl-front-ends = final.callPackage ./nixos-module/front-ends.nix { };
      };

      packages = eachSystem (pkgs: rec {
        secretctl = pkgs.callPackage ./nixos-module/package.nix { };
        # `agenix` and `ragenix`, in the place of the real ones
        secretctl-front-ends = pkgs.callPackage ./nixos-module/front-ends.nix { inherit secretctl; };
        default = secretctl;
      });

      apps = eachSystem (pkgs: {
        default = {
          type = "app";
          program = "${self.packages.${pkgs.system}.default}/bin/secretctl";
          meta.description = "Edit, rekey and inspect the secrets of a repository";
        };
      });

      checks = eachSystem (pkgs: {
        package = self.packages.${pkgs.system}.default;
        front-ends = self.packages.${pkgs.system}.secretctl-front-ends;
      });

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
