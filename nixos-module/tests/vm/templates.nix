# A template holds its text and the values of secrets, written as its syntax wants them.
{ ... }:
{
  name = "secretctl-templates";
  nodes.machine =
    { config, ... }:
    {
      imports = [ ./parts/host.nix ];
      secretctl.secrets.token.file = ./secrets/first.age;
      secretctl.templates."app.json".content = ''
        { "token": ${config.secretctl.placeholder.token.json} }
      '';
    };
  testScript = ''
    machine.wait_for_unit("secretctl.target")
    assert '{ "token": "first value" }\n' == machine.succeed("cat /run/secrets/app.json")
  '';
}
