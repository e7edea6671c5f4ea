# Options by the names that they had once.
{
  age.sshKeyPaths = [ "/persist/age" ];
  age.secrets.plain.file = ./secrets/plain.age;
  sops = {
    gnupgHome = "/root/.gnupg";
    sshKeyPaths = [ "/persist/rsa" ];
    defaultSopsFile = ./secrets/host.yaml;
    secrets.hash = { };
  };
  rekey = {
    hostPubkey = ./host.pub;
    forceRekeyOnSystem = "x86_64-linux";
    masterIdentities = [ "/home/alice/master" ];
    extraEncryptionPubkeys = [ "age1x" ];
    secrets.old.file = ./secrets/owned.age;
  };
}
