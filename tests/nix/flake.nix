# A small nixpkgs for the tests: `lib` (the real one where a path is put in its place) and inert
# packages, so that flakes evaluate without the network. Where `host.nix` says how, Rust packages are
# built, by the cargo of this machine.
{
  outputs = _: rec {
    lib = import ./minilib.nix // {
      importTOML = file: builtins.fromTOML (builtins.readFile file);
      fileset = {
        unions = parts: parts;
        toSource =
          { root, fileset }:
          builtins.path {
            path = root;
            name = "source";
            filter =
              path: type:
              builtins.any (
                part:
                let
                  name = toString part;
                  isBelow = a: b: builtins.substring 0 (builtins.stringLength a + 1) b == a + "/";
                in
                path == name || isBelow name path || (type == "directory" && isBelow path name)
              ) fileset;
          };
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
