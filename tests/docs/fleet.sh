# shellcheck shell=bash
# Sourced by how-tos about hosts: `. fleet.sh FACE`. Makes a folder with a flake of one host, `web1`, whose
# configuration is `web1.nix`, and goes there. What is nixpkgs elsewhere is the stand-in of the tests, and
# secretctl the program that is tested.
cd "$(mktemp -d ~/fleet.XXXX)" || exit
git init -q .
mkdir -p ~/nixpkgs ~/package/bin secrets
cp -r "$PROJECT"/nixos-module "$PROJECT"/tests "$PROJECT"/Cargo.* ~/nixpkgs
ln -sf "$(command -v secretctl)" ~/package/bin/secretctl
cat >~/nixpkgs/flake.nix <<NIX
{
  outputs = _:
    let
      package = { type = "derivation"; name = "secretctl"; outPath = "$HOME/package"; };
      base = { secretctl = { inherit package; validationPackage = package; }; };
    in
    {
      lib.nixosSystem = { modules }: {
        inherit (import ./nixos-module/tests/eval.nix { modules = modules ++ [ base ]; }) config;
      };
      nixosModules.face = ./nixos-module/compat/$1.nix;
    };
}
NIX
cat >flake.nix <<NIX
{
  inputs.nixpkgs.url = "path:$HOME/nixpkgs";
  outputs = { nixpkgs, ... }: {
    nixosConfigurations.web1 = nixpkgs.lib.nixosSystem {
      modules = [ nixpkgs.nixosModules.face ./web1.nix ];
    };
  };
}
NIX
