# What cannot be kept of agenix-rekey, each of it once.
{
  services.openssh.enable = true;
  age.rekey = {
    hostPubkey = ./host.pub;
    storageMode = "derivation";
    masterIdentities = [ (import ./master.nix) ];
  };
  age.secrets.none = {
    file = ./secrets/plain.age;
    generator.script = "hex";
  };
  age.secrets.gone.rekeyFile = ./secrets/not-there.age;
}
