# A host as it is written for agenix-rekey, in the storage mode `local`.
{
  services.openssh.enable = true;
  age.rekey = {
    hostPubkey = ./host.pub;
    masterIdentities = [
      {
        identity = "/home/alice/master.age";
        pubkey = "age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq";
      }
    ];
    storageMode = "local";
    localStorageDir = ./. + "/rekeyed";
  };
  age.secrets = {
    plain.rekeyFile = ./secrets/plain.age;
    generated = {
      rekeyFile = ./secrets/owned.age;
      generator.script = "hex";
      mode = "0440";
    };
    between = {
      rekeyFile = ./secrets/linked.age;
      intermediary = true;
    };
  };
}
