# The file with the manifest. Units name this one alone, so that a system whose secrets could not be
# installed is not built.
{
  lib,
  config,
  pkgs,
}:
let
  cfg = config.secretctl;
in
pkgs.writeTextFile {
  name = "secretctl-manifest.json";
  text = builtins.toJSON cfg.manifest;
  checkPhase = lib.optionalString cfg.validation.enable ''
    ${cfg.validationPackage}/bin/secretctl activate --check "$target"
  '';
}
