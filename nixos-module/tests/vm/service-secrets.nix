# The secret of a service is there while it runs, for itself alone, also without a user of its own.
{ ... }:
{
  name = "secretctl-service-secrets";
  nodes.machine =
    { config, ... }:
    {
      imports = [ ./parts/host.nix ];
      secretctl.services.app.secrets.token.file = ./secrets/first.age;
      systemd.services.app = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          DynamicUser = true;
          ExecStartPre = "/run/current-system/sw/bin/cp \${CREDENTIALS_DIRECTORY}/token /run/app/token";
          RuntimeDirectory = "app";
          ExecStart = "/run/current-system/sw/bin/sleep infinity";
        };
      };
      environment.variables.TOKEN = config.secretctl.services.app.secrets.token.path;
    };
  testScript = ''
    machine.wait_for_unit("app.service")
    path = "/run/credentials/app.service/token"
    assert "first value" == machine.succeed("cat /run/app/token")
    assert "first value" == machine.succeed(f"cat {path}")
    machine.fail(f"runuser -u nobody -- cat {path}")
    machine.fail("test -e /run/secrets/token")
    machine.succeed("systemctl stop app.service")
    machine.fail(f"test -e {path}")
  '';
}
