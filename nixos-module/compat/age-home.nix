# `age.*` as agenix has it for home-manager.
import ../scoped.nix "home" ./age.nix
