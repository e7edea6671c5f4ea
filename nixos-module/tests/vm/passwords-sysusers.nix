# systemd-sysusers makes users with the password that an early secret holds.
{ ... }:
import ./parts/passwords.nix {
  name = "secretctl-passwords-sysusers";
  users.systemd.sysusers.enable = true;
}
