# The program, built from Cargo.lock. Its tests drive Nix, age and git, which a build sandbox does
# not have; they run in CI.
{ lib, rustPlatform }:
let
  root = ../.;
  manifest = (lib.importTOML (root + "/Cargo.toml")).package;
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;
  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/Cargo.toml")
      (root + "/Cargo.lock")
      (root + "/build.rs")
      (root + "/src")
      # the manifest names files of these, and cargo wants them to be there
      (root + "/benches")
      (root + "/tests")
    ];
  };
  cargoLock.lockFile = root + "/Cargo.lock";
  doCheck = false;
  meta = {
    inherit (manifest) description;
    license = [
      lib.licenses.asl20
      lib.licenses.mit
    ];
    mainProgram = manifest.name;
  };
}
