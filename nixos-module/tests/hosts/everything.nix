# A host with every option set to something else than its default, for the tests.
{ config, pkgs, ... }:
let
  public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPkIzCXOn/LxUGR4UQnFCvzDN0J8KNLTmCEiZ6nMpUqX";
  folder = name: {
    type = "derivation";
    name = "folder";
    outPath = "/opt/${name}";
  };
  age = ../../../testdata/age/age-1.3.2-post-quantum.age;
  yaml = ../../../testdata/sops/3.13.3-plain.yaml;
in
{
  services.openssh.enable = true;
  users.users.web.group = "www";
  users.groups.www = { };
  users.groups.readers = { };

  secretctl = {
    package = folder "secretctl";
    validationPackage = folder "secretctl-of-the-builder";
    validation.enable = true;
    hostPublicKey = "${public} root@web1\n";
    defaultEncryptKeys.alice = [ "${public} alice" ];
    identities = [
      "/persist/etc/ssh/ssh_host_ed25519_key"
      "/var/lib/keys of age.txt"
    ];
    plugins = [ pkgs.age-plugin-tpm ];
    gnupg = {
      home = "/root/.gnupg";
      package = folder "gnupg";
    };
    stores.late = {
      path = "/run/late";
      mountPoint = "/run/mount-of-late";
      filesystem = "tmpfs";
      allowSwap = true;
      keepGenerations = 3;
      mode = "0750";
      group = "readers";
      phase = "both";
    };
    stores.memory = {
      path = "/dev/shm/memory";
      mountPoint = "/dev/shm/memory.d";
      filesystem = "directory";
      allowDisk = true;
    };
    secrets = {
      plain.file = age;
      "db/password" = {
        name = "database/password";
        file = yaml;
        format = "yaml";
        key = "a/b";
        store = "late";
        path = "/etc/app/password";
        owner = "web";
        mode = "0440";
        symlink = false;
        required = false;
        restartUnits = [ "web.service" ];
        reloadUnits = [ "proxy.service" ];
        transform = pkgs.writeShellScript "trim" "exec tr -d '\\n' <\"$inFile\"";
        testValue = "for tests";
        encryptKeys.bob = "${public} bob";
      };
      listed = {
        file = yaml;
        key = [
          "with/slash"
          "0"
        ];
        path = "/etc/app/listed";
        owner = 1000;
        group = "readers";
      };
      hash = {
        file = age;
        early = true;
      };
    };
    templates = {
      "app.env" = {
        name = "app/env";
        content = ''
          PLAIN=${config.secretctl.placeholder.plain}
          JSON=${config.secretctl.placeholder."db/password".json}
        '';
        path = "/etc/app/env";
        owner = "web";
        group = "www";
        mode = "400";
        required = false;
        restartUnits = [ "web.service" ];
        reloadUnits = [ "proxy.service" ];
      };
      from-file = {
        file = pkgs.writeText "template" "x";
        store = "memory";
        path = "/etc/app/from-file";
        symlink = false;
      };
      first = {
        content = "${config.secretctl.placeholder.hash}\n";
        early = true;
      };
    };
    foreignPlaceholders."<OTHER:plain>" = {
      store = "secrets";
      secret = "plain";
    };
    services.web.secrets = {
      tls.file = age;
      token = {
        file = yaml;
        format = "yaml";
        key = "a/b";
        encryptKeys.carol = public;
      };
    };
    services."worker@".secrets.token.file = age;
    scan = {
      enable = true;
      schedule = "Sun 03:00";
      logs = false;
      evaluationCache = false;
      boot = true;
      heuristics = true;
      trustedKeys = [ "cache.example.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      allowList = ./everything.nix;
    };
    keyServices = {
      enable = true;
      environment.VAULT_ADDR = "https://vault.example:8200";
      environmentFiles = [ "/run/secrets/vault.env" ];
    };
    useTestValues = true;
    logging = {
      keys = false;
      changes = false;
    };
  };
  systemd.services.web.serviceConfig.ExecStart = config.secretctl.services.web.secrets.tls.path;
}
