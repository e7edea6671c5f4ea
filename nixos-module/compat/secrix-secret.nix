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
    declaredAs: builder:
    if builder == null then
      null
    else
      pkgs.writeShellScript "secrix-builder" ''
        # ${declaredAs}.decrypted.builder
        set -e
        ${if builtins.isFunction builder then builder "/dev/fd/1" else builder}
      '';

  # A user of `null` is one that systemd makes up when the service starts.
  isDynamic = secret: secret.decrypted.user == null;

  mapped = declaredAs: store: secret: {
    inherit declaredAs store;
    inherit (secret.decrypted) name path;
    inherit (secret.encrypted) file;
    format = "age";
    mode = common.octal secret.decrypted.mode;
    owner = common.account secret.decrypted.user 0;
    group = common.account secret.decrypted.group 0;
    transform = transformOf declaredAs secret.decrypted.builder;
  };
}
