# Memory that secrets are kept in, as mount units of systemd: what a service with a view of its own of
# the file systems mounts, nobody else sees.
{ lib }:
rec {
  # `%` begins a specifier in units.
  specifiers = lib.replaceStrings [ "%" ] [ "%%" ];
  # A path as lists of paths in units have it: blanks separate.
  word =
    path:
    let
      text = specifiers path;
    in
    if builtins.match "[^[:space:]'\"\\]+" text == null then builtins.toJSON text else text;

  # The file system of a store.
  mount = store: {
    description = "Memory For Secrets";
    where = store.mountPoint;
    what = store.filesystem;
    type = store.filesystem;
    options = lib.concatStringsSep "," (
      [
        "nodev"
        "nosuid"
        "noexec"
        "mode=${store.mode}"
      ]
      ++ lib.optional (store.filesystem == "tmpfs" && !store.allowSwap) "noswap"
    );
    unitConfig.DefaultDependencies = false;
  };
}
