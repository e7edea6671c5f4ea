# A host that uses what there is, for a real systemd. Its sources are files of the host itself, so that
# this evaluates without a store; `generation` stands for a change of them.
{
  lib,
  generation,
  config,
  ...
}:
let
  folder = path: {
    type = "derivation";
    name = baseNameOf path;
    outPath = path;
  };
  source = name: "/srv/${name}";
  changed = name: suffix: source (if generation == 1 then "${name}${suffix}" else "${name}-2${suffix}");
  inherit (config.secretctl) placeholder secrets;

  # With the name of its service 83 bytes, which is all that systemd has.
  longest = lib.concatStrings (lib.genList (_: "x") (83 - lib.stringLength "long.service"));

  # Writes down each time that it starts, reloads and stops.
  counted = name: {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "/bin/sh -c 'echo start >>/report/${name}'";
      ExecReload = "/bin/sh -c 'echo reload >>/report/${name}'";
    };
  };
  # Writes down what it finds among its credentials.
  asking = name: {
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "/bin/sh -c 'cd $CREDENTIALS_DIRECTORY && grep -r . . | sort >/var/lib/${name}/seen; ls -ln . >>/var/lib/${name}/seen'";
      StateDirectory = name;
    };
  };
in
{
  systemd.package = folder "/usr";
  systemd.sysusers.enable = true;
  services.userborn.enable = true;
  users.users.app.group = "app";
  users.users.alice.group = "alice";
  users.groups.readers = { };
  users.groups.app = { };
  users.groups.alice = { };

  secretctl = {
    package = folder "/opt/secretctl";
    validation.enable = false;
    scan.enable = true;
    scan.boot = true;
    identities = [ "/etc/ssh/ssh_host_ed25519_key" ];
    secrets = {
      plain.file = source "plain.age";
      named = {
        file = source "plain.age";
        owner = "app";
        group = "readers";
        mode = "0440";
      };
      numeric = {
        file = source "plain.age";
        owner = 1234;
        group = 1235;
        mode = "0640";
      };
      "nested/deep" = {
        file = source "all.yaml";
        format = "yaml";
        key = "db/password";
      };
      linked = {
        file = source "plain.age";
        path = "/etc/app/token";
      };
      copied = {
        file = source "plain.age";
        path = "/var/lib/app/copy";
        symlink = false;
        owner = "app";
      };
      changing = {
        file = changed "changing" ".age";
        restartUnits = [
          "restarted.service"
          "sleeping.service"
        ];
        reloadUnits = [
          "reloaded.service"
          "reloaded-sleeping.service"
        ];
      };
      constant = {
        file = source "plain.age";
        restartUnits = [ "untouched.service" ];
      };
      alice = {
        file = changed "alice" ".age";
        early = true;
      };
    }
    // (
      if generation == 1 then
        {
          removed = {
            file = source "plain.age";
            path = "/etc/app/removed";
          };
        }
      else
        { }
    )
    // (
      if generation == 3 then
        {
          failing = {
            file = source "strange.age";
            restartUnits = [ "untouched.service" ];
          };
          # it was there before
          linked = {
            file = source "strange.age";
            path = "/etc/app/token";
          };
        }
      else
        { }
    );
    templates."app.conf" = {
      content = ''
        name = "app"
        password = ${placeholder."nested/deep".json}
        changing = ${placeholder.changing}
      '';
      owner = "app";
      restartUnits = [ "templated.service" ];
    };
    services = {
      app.secrets = {
        token.file = source "plain.age";
        db = {
          file = source "all.yaml";
          format = "yaml";
          key = "db/password";
        };
      };
      dynamic.secrets.token.file = source "plain.age";
      other.secrets.token.file = source "other.age";
      "instance@".secrets.token.file = source "plain.age";
      early-asker.secrets.token.file = source "plain.age";
      failing.secrets.token.file = source "strange.age";
      itself.secrets.token.file = source "plain.age";
      long.secrets.${longest}.file = source "plain.age";
    };
  };

  systemd.services = {
    restarted = counted "restarted";
    needs = {
      requires = [ "secretctl.target" ];
      after = [ "secretctl.target" ];
      serviceConfig.ExecStart = "/bin/sleep infinity";
    };
    reloaded = counted "reloaded";
    untouched = counted "untouched";
    templated = counted "templated";
    sleeping = counted "sleeping" // {
      wantedBy = [ ];
    };
    reloaded-sleeping = counted "reloaded-sleeping" // {
      wantedBy = [ ];
    };

    # The users of the tests, of systemd's own means: a password by a credential.
    systemd-sysusers = {
      unitConfig.ConditionNeedsUpdate = "";
      serviceConfig.LoadCredential = [ "passwd.hashed-password.alice:${secrets.alice.path}" ];
    };
    # As userborn: it reads the file itself, each time that it runs.
    userborn = {
      wantedBy = [ "sysinit.target" ];
      requiredBy = [ "sysinit-reactivation.target" ];
      before = [
        "sysinit.target"
        "sysinit-reactivation.target"
      ];
      after = [
        "systemd-sysusers.service"
        "systemd-remount-fs.service"
      ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/bin/sh -c 'usermod --password \"$(cat ${secrets.alice.path})\" bob'";
      };
    };

    # Before everything, and after the secrets alone.
    first = {
      wantedBy = [ "sysinit.target" ];
      after = [ "secretctl.service" ];
      before = [ "sysinit.target" ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "/bin/sh -c 'cat ${secrets.plain.path} >/report/first'";
      };
    };
    # As any service, which says nothing of secrets.
    ordinary = {
      wantedBy = [ "basic.target" ];
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "/bin/sh -c 'cat ${secrets.plain.path} >/report/ordinary'";
      };
    };

    app = asking "app-state";
    other = asking "other";
    dynamic = asking "dynamic" // {
      serviceConfig = (asking "dynamic").serviceConfig // {
        DynamicUser = true;
      };
    };
    "instance@" = asking "instance-%i";
    # Before there is a network, or anything else.
    early-asker = asking "early-asker" // {
      wantedBy = [ "sysinit.target" ];
      before = [ "sysinit.target" ];
      after = [ "local-fs.target" ];
      unitConfig.DefaultDependencies = false;
    };
    failing = asking "failing";
    long = asking "long";
    # It asks as systemd did for it.
    itself.serviceConfig = {
      Type = "oneshot";
      ExecStart = "/usr/bin/perl /impostor itself.service token";
      StandardOutput = "file:/report/impostor-of-itself";
    };
    # It wants what it was not given.
    greedy = {
      serviceConfig = (asking "greedy").serviceConfig // {
        LoadCredential = [ "token:/run/secretctl/credentials.socket" ];
      };
    };
  };
}
