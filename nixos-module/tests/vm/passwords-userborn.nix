# userborn makes users with the password that an early secret holds.
{ ... }:
import ./parts/passwords.nix {
  name = "secretctl-passwords-userborn";
  users.services.userborn.enable = true;
}
