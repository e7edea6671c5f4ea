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
    secrets.token = {
      file = ../../../testdata/age/age-1.3.2-post-quantum.age;
      owner = "alice";
      path = "/etc/token";
    };
  };
}
