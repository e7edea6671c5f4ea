# The options of our faces, as `parity.nix` tells them: { <original>.<system>.<option> = { type; default; }; }.
let
  probes = import ./probes.nix;
  compat = name: ../../compat + "/${name}.nix";
  modules = {
    agenix = {
      nixos = [ (compat "age") ];
      nix-darwin = [ (compat "age-darwin") ];
      home-manager = [ (compat "age-home") ];
    };
    sops-nix = {
      nixos = [ (compat "sops") ];
      nix-darwin = [ (compat "sops-darwin") ];
      home-manager = [ (compat "sops-home") ];
    };
    secrix.nixos = [ (compat "secrix") ];
    agenix-rekey.nixos = [
      (compat "age")
      (compat "age-rekey")
    ];
  };
in
builtins.mapAttrs (
  original:
  builtins.mapAttrs (
    system: probe:
    import ../parity.nix (
      {
        inherit system;
        modules = modules.${original}.${system} ++ probe.configurations;
      }
      // builtins.removeAttrs probe [ "configurations" ]
    )
  )
) probes
