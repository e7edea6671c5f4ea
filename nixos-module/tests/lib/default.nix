# A small stand-in for the part of nixpkgs lib that modules of secrets use, so that tests evaluate them with
# nothing but Nix. No code of nixpkgs is in it; it behaves alike, but for the words of errors.
let
  lib = builtins.foldl' (all: part: all // import part lib) { } [
    ./lists.nix
    ./attrsets.nix
    ./strings.nix
    ./packages.nix
    ./options.nix
    ./properties.nix
    ./types.nix
    ./modules.nix
  ];
in
lib
// {
  # Where these stand in nixpkgs.
  inherit (lib) strings;
  attrsets = lib;
  lists = lib;
  modules = lib;
  options = lib;
  trivial = lib // {
    release = "26.11";
  };
}
