# The file with the manifest. Units name this one alone, so that a system whose secrets could not be
# installed is not built.
{
  lib,
  config,
  pkgs,
}:
let
  inherit (builtins) attrValues elem filter toJSON;
  cfg = config.secretctl;
  place = secret: "${secret.store}/${secret.name}";
  # Files that are on the machine alone cannot be looked at here, nor what is put together of them.
  absent = map place (filter (secret: !(secret.validated or true)) (attrValues cfg.secrets));
  looked = cfg.manifest // {
    secrets = filter (secret: !(elem (place secret) absent)) cfg.manifest.secrets;
    templates = [ ];
    placeholders = { };
  };
  lookedFile =
    if absent == [ ] then
      "$target"
    else
      pkgs.writeTextFile {
        name = "secretctl-manifest-to-check.json";
        text = toJSON looked;
      };
in
pkgs.writeTextFile {
  name = "secretctl-manifest.json";
  text = toJSON cfg.manifest;
  checkPhase = lib.optionalString cfg.validation.enable ''
    ${cfg.validationPackage}/bin/secretctl activate --check "${lookedFile}"
  '';
}
