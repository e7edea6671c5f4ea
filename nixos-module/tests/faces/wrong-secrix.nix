# What cannot be kept of secrix, each of it once.
let
  encrypted.file = ./secrets/wifi;
in
{
  secrix = {
    ageBin = "/opt/own-age --strict";
    hostIdentityFile = "${builtins.toFile "key" "not a real key"}";
    system = {
      secretsDir.user = "web";
      secretsDir.permissions = "u=x";
      secrets.a = { inherit encrypted; };
      secrets.b = {
        inherit encrypted;
        decrypted.name = "a";
      };
      secrets.writes = {
        inherit encrypted;
        decrypted.builder = "cp $inFile /run/system-keys/writes";
      };
    };
    services = {
      one = {
        secretsDirName = "shared";
        secrets."a/b" = { inherit encrypted; };
        additionalRuntimeDirNames = [ "shared" ];
      };
      two = {
        secretsDirName = "shared";
        secretsServiceName = "one-keys";
        secrets.made-up = {
          inherit encrypted;
          decrypted = {
            user = null;
            mode = "0444";
            name = "a:b";
          };
        };
      };
    };
  };
}
