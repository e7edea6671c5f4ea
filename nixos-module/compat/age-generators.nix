# The generators that agenix-rekey has by name, as scripts for its program, which runs them at the
# desk. None leaves plaintext on a disk.
{
  # 48 letters and digits
  alnum =
    { pkgs, ... }:
    "LC_ALL=C ${pkgs.coreutils}/bin/tr -dc A-Za-z0-9 </dev/urandom | ${pkgs.coreutils}/bin/head -c 48 || true";
  # 32 random bytes
  base64 =
    { pkgs, ... }:
    "${pkgs.coreutils}/bin/head -c 32 /dev/urandom | ${pkgs.coreutils}/bin/base64 -w 0";
  # 24 random bytes
  hex =
    { pkgs, ... }:
    "${pkgs.coreutils}/bin/head -c 24 /dev/urandom | ${pkgs.coreutils}/bin/basenc --base16 -w 0 | ${pkgs.coreutils}/bin/tr A-F a-f";
  # 6 words
  passphrase = { pkgs, ... }: "${pkgs.xkcdpass}/bin/xkcdpass -n 6 -d ' '";
  # parameters of 4096 bits
  dhparams = { pkgs, ... }: "${pkgs.openssl}/bin/openssl dhparam -out - 4096";
  # a private key; memory is where it lies until it is printed
  ssh-ed25519 =
    {
      lib,
      name,
      pkgs,
      ...
    }:
    ''
      folder=$(${pkgs.coreutils}/bin/mktemp -d -p "''${XDG_RUNTIME_DIR:-/dev/shm}")
      ${pkgs.openssh}/bin/ssh-keygen -q -t ed25519 -N "" -C ${lib.escapeShellArg name} -f "$folder/key" >&2
      ${pkgs.coreutils}/bin/cat "$folder/key"
      ${pkgs.coreutils}/bin/rm -r "$folder"
    '';
}
