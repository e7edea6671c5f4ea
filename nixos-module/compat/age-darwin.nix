# `age.*` as agenix has it for nix-darwin.
import ../scoped.nix "darwin" ./age.nix
