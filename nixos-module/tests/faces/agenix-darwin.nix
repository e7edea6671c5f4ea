# A Mac as it is written for agenix.
{
  age.secrets = {
    plain.file = ./secrets/plain.age;
    owned = {
      file = ./secrets/owned.age;
      owner = "alice";
      group = "staff";
    };
  };
}
