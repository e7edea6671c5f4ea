# The program, built from Cargo.lock. Its tests drive Nix, age and git, which a build sandbox does
# not have; they run in CI.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
  # "debug" builds in a fraction of the time
  buildType ? "release",
}:
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
      (root + "/needle-filter")
      # the manifest names files of these, and cargo wants them to be there
      (root + "/benches")
      (root + "/tests")
    ];
  };
  cargoLock.lockFile = root + "/Cargo.lock";
  inherit buildType;
  doCheck = false;
  nativeBuildInputs = [ installShellFiles ];
  # a program for another machine cannot print its own pages
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    mkdir man
    $out/bin/secretctl man --directory man
    installManPage man/*.1
    installShellCompletion --cmd secretctl \
      --bash <($out/bin/secretctl completions bash) \
      --fish <($out/bin/secretctl completions fish) \
      --zsh <($out/bin/secretctl completions zsh)
  '';
  meta = {
    inherit (manifest) description;
    license = [
      lib.licenses.asl20
      lib.licenses.mit
    ];
    mainProgram = manifest.name;
  };
}
