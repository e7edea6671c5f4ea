# One secret of secrix, as ours. Shared by those of the system and of services.
{
  lib,
  pkgs,
  common,
}:
rec {
  # A builder is a script of bash. A function writes to the path that it gets: one that leads to what
  # is installed, and that no `mv` can put another file in the place of.
  transformOf =
    option: builder:
    if builder == null then
      null
    else
      pkgs.writeShellScript "secrix-builder" ''
        # ${option}.decrypted.builder
        set -e
        ${if lib.isFunction builder then builder "/dev/fd/1" else builder}
      '';

  # A user of `null` is one that systemd makes up when the service starts.
  isDynamic = secret: secret.decrypted.user == null;

  mapped = option: store: secret: {
    declaredAs = "${option}.decrypted";
    fileDeclaredAs = "${option}.encrypted.file";
    inherit store;
    inherit (secret.decrypted) name path;
    inherit (secret.encrypted) file;
    format = "age";
    mode = common.octal secret.decrypted.mode;
    owner = common.account secret.decrypted.user 0;
    group = common.account secret.decrypted.group 0;
    transform = transformOf option secret.decrypted.builder;
  };
}
