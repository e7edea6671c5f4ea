# A host with a secret that only a key service opens, for a real systemd. `generation` stands for a change of
# the sources, `address` is where the service is.
{
  lib,
  generation,
  address,
  config,
  ...
}:
let
  folder = path: {
    type = "derivation";
    name = baseNameOf path;
    outPath = path;
  };
  changed = name: if generation == 1 then "/srv/${name}" else "/srv/2-${name}";
  inherit (config.secretctl) placeholder;
in
{
  systemd.package = folder "/usr";
  secretctl = {
    package = folder "/opt/secretctl";
    validation.enable = false;
    identities = [ "/etc/ssh/ssh_host_ed25519_key" ];
    keyServices = {
      enable = true;
      environment = {
        VAULT_ADDR = address;
        SECRETCTL_KEY_SERVICES_TIMEOUT = "3";
      };
      # A key of this machine opens the token.
      environmentFiles = [ "/run/secrets/vault.env" ];
    };
    secrets = {
      "vault.env".file = "/srv/vault.env.age";
      near.file = changed "near.age";
      far = {
        file = changed "far.yaml";
        format = "yaml";
        key = "key";
        restartUnits = [ "needs-far.service" ];
      };
    };
    templates.mixed.content = "${placeholder.near}-${placeholder.far}";
  };

  systemd.services = {
    # An hour would be too long for a test, as would be a minute.
    secretctl-network.serviceConfig.RestartSec = lib.mkForce 2;
    # A network that takes its time.
    slow-network = {
      wantedBy = [ "network-online.target" ];
      before = [ "network-online.target" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/bin/sh -c 'ls /run/secrets >/report/before-network; sleep 1'";
      };
    };
    transit = {
      wantedBy = [ "multi-user.target" ];
      before = [ "network-online.target" ];
      serviceConfig = {
        Type = "forking";
        ExecStart = "/usr/bin/perl /transit ${address}";
      };
    };
    needs-near = {
      wantedBy = [ "multi-user.target" ];
      requires = [ "secretctl.target" ];
      after = [ "secretctl.target" ];
      before = [ "network-online.target" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/bin/sh -c 'cat /run/secrets/near >/report/needs-near'";
      };
    };
    needs-far = {
      wantedBy = [ "secretctl-network.target" ];
      requires = [ "secretctl-network.target" ];
      after = [ "secretctl-network.target" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/bin/sh -c 'cat /run/secrets/far >>/report/needs-far; echo >>/report/needs-far'";
      };
    };
  };
}
