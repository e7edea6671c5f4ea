# What cannot be kept of agenix, each of it once.
{
  services.openssh.enable = true;
  age = {
    ageBin = "PATH=/opt/plugins:$PATH /opt/rage/bin/rage";
    identityPaths = [
      ./host.pub
      "/etc/ssh/ssh_host_ed25519_key"
    ];
    secrets.symbolic = {
      file = ./secrets/plain.age;
      mode = "u=rw,g=r";
    };
    secrets.nobody = {
      file = ./secrets/plain.age;
      owner = "nobody-here";
    };
  };
}
