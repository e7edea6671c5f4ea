# `sops.*` as sops-nix has it for nix-darwin.
import ../scoped.nix "darwin" ./sops.nix
