# A user of home-manager with a secret that only a key service opens, for a real systemd.
{
  lib,
  address,
  config,
  ...
}:
let
  oneshot = wanted: after: command: {
    Unit.After = [ after ];
    Unit.Requires = [ after ];
    Service = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "/bin/sh -c '${command}'";
    };
    Install.WantedBy = [ wanted ];
  };
in
{
  secretctl = {
    package = {
      type = "derivation";
      name = "secretctl";
      outPath = "/opt/secretctl";
    };
    validation.enable = false;
    keyServices = {
      enable = true;
      environment = {
        VAULT_ADDR = address;
        SECRETCTL_KEY_SERVICES_TIMEOUT = "3";
        # as a unit would take it for something else
        AWS_PROFILE = "100%h mine";
      };
      environmentFiles = [ config.secretctl.secrets."vault.env".path ];
    };
    secrets = {
      "vault.env".file = "/srv/vault.env.age";
      near.file = "/srv/near.age";
      far = {
        file = "/srv/far.yaml";
        format = "yaml";
        key = "key";
      };
    };
  };
  systemd.user.services = {
    secretctl-network.Service.RestartSec = lib.mkForce 2;
    needs-near = oneshot "default.target" "secretctl.service" "cat %h/.config/secretctl/secrets/near >%h/near";
    needs-far =
      oneshot "secretctl-network.service" "secretctl-network.service"
        "cat %h/.config/secretctl/secrets/far >%h/far";
  };
}
