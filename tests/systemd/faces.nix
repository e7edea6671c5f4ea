# A host as it is written for agenix, sops-nix and secrix at once, for a real systemd. Its sources are files of the
# host itself, so that this evaluates without a store.
{ config, ... }:
let
  folder = path: {
    type = "derivation";
    name = baseNameOf path;
    outPath = path;
  };
  encrypted = name: { encrypted.file = "/srv/${name}"; };
  oneshot = command: {
    Type = "oneshot";
    RemainAfterExit = true;
    ExecStart = "/bin/sh -c '${command}'";
  };
  decrypted = service: config.secrix.services.${service}.secrets.password.decrypted.path;
in
{
  systemd.package = folder "/usr";
  systemd.sysusers.enable = true;
  users.users.app.group = "app";
  users.users.alice.group = "alice";
  users.groups.app = { };
  users.groups.alice = { };
  secretctl = {
    package = folder "/opt/secretctl";
    validation.enable = false;
  };

  age = {
    identityPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
    secrets.plain = {
      file = "/srv/plain.age";
      owner = "app";
      mode = "0440";
    };
    secrets.hash.file = "/srv/plain.age";
  };
  sops = {
    validateSopsFiles = false;
    age.sshKeyPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
    defaultSopsFile = "/srv/all.yaml";
    secrets."db/password".owner = "app";
    secrets.early = {
      key = "db/password";
      neededForUsers = true;
    };
    templates."app.conf".content = "password = ${config.sops.placeholder."db/password"}\n";
  };
  secrix = {
    system.secrets.wifi = encrypted "plain.age";
    services = {
      one.secrets.password = encrypted "one";
      two.secrets.password = encrypted "two" // {
        decrypted.mode = "0271";
      };
      dynamic.secrets.password = encrypted "two" // {
        decrypted.builder = out: "sed s/^/made-of-/ $inFile >${out}";
      };
      flaky.secrets.password = encrypted "two";
      failing.secrets.password = encrypted "one";
      strange.secrets.password = encrypted "strange";
    };
  };

  systemd.services = {
    # They know the units of the originals alone.
    after-all = {
      wantedBy = [ "sysinit.target" ];
      before = [ "sysinit.target" ];
      requires = [
        "agenix-install-secrets.service"
        "sops-install-secrets.service"
        "secrix-system-secrets.service"
      ];
      after = [
        "agenix-install-secrets.service"
        "sops-install-secrets.service"
        "secrix-system-secrets.service"
      ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = oneshot "cat /run/agenix/plain /run/secrets/db/password /run/system-keys/wifi >/report/after-all";
    };
    before-users = {
      wantedBy = [ "sysinit.target" ];
      after = [ "sops-install-secrets-for-users.service" ];
      before = [
        "systemd-sysusers.service"
        "sysinit.target"
      ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = oneshot "cat /run/agenix/hash /run/secrets-for-users/early >/report/before-users";
    };
    one.serviceConfig = oneshot "id -un; cat ${decrypted "one"}; cat ${decrypted "dynamic"} 2>/dev/null || echo not mine" // {
      User = "app";
      StandardOutput = "truncate:/report/one";
    };
    two.serviceConfig = oneshot "stat -Lc %%a ${decrypted "two"}; cat ${decrypted "two"}" // {
      StandardOutput = "truncate:/report/two";
    };
    dynamic.serviceConfig = oneshot "cat ${decrypted "dynamic"}; cat ${decrypted "one"} 2>/dev/null || echo not mine" // {
      DynamicUser = true;
      StandardOutput = "truncate:/report/dynamic";
    };
    # it fails once, and is started again
    flaky.serviceConfig = {
      ExecStart = "/bin/sh -c 'cat ${decrypted "flaky"} >>/report/flaky; [ -e /run/again ] && exec sleep 600; touch /run/again; exit 1'";
      Restart = "on-failure";
      RestartSec = "100ms";
    };
    failing.serviceConfig = oneshot "exit 1";
    strange.serviceConfig = oneshot "true";
  };
}
