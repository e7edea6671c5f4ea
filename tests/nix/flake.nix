# A small nixpkgs for the tests: `lib` (the real one where a path is put in its place) and inert
# packages, so that flakes evaluate without the network. Where `host.nix` says how, Rust packages are
# built, by the cargo of this machine.
{
  outputs = _: rec {
    lib = import ./minilib.nix;
    legacyPackages = lib.genAttrs [
      "x86_64-linux"
      "aarch64-linux"
      "x86_64-darwin"
      "aarch64-darwin"
    ] (system: import ./pkgs.nix { inherit lib system; });
  };
}
