# `sops.*` as sops-nix has it for home-manager.
import ../scoped.nix "home" ./sops.nix
