# A Mac with secrets, for the tests.
{
  users.users.alice = {
    uid = 501;
    gid = 20;
  };
  secretctl = {
    package = {
      type = "derivation";
      name = "folder";
      outPath = "/opt/secretctl";
    };
    keyServices = {
      enable = true;
      environment.VAULT_ADDR = "https://vault.example:8200";
      environmentFiles = [ "/run/secrets/vault env" ];
    };
    secrets.token = {
      file = ../../../testdata/age/age-1.3.2-post-quantum.age;
      owner = "alice";
      path = "/etc/token";
    };
  };
}
