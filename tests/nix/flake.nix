# A small nixpkgs for the tests: `lib` (the real one where a path is put in its place) and inert
# packages, so that flakes evaluate without the network.
{
  outputs = _: rec {
    lib = import ./minilib.nix // {
      importTOML = file: builtins.fromTOML (builtins.readFile file);
      fileset = {
        unions = parts: parts;
        toSource = { root, ... }: root;
      };
      licenses = {
        asl20 = "asl20";
        mit = "mit";
      };
    };
    legacyPackages = lib.genAttrs [
      "x86_64-linux"
      "aarch64-linux"
      "x86_64-darwin"
      "aarch64-darwin"
    ] (system: import ./pkgs.nix { inherit lib system; });
  };
}
