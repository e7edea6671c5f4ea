# What launchd is told. The store may be on a volume that is mounted late, and what is run may need
# programs of the system.
{
  lib,
  cfg,
  # whether it asks key services
  network ? false,
  log,
}:
let
  # Lines of `NAME=value`, of which no shell makes anything else. What has no such name is left out, as systemd does: a
  # shell would repeat all of the line in its complaint, which is for a log that others can read, and end.
  variables = file: ''
    text=$(/bin/cat ${lib.escapeShellArg file})
    for line in $text; do
      case ''${line%%=*} in [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
      case $line in [A-Za-z_]*=*) export "$line" ;; esac
    done
  '';
  files = lib.optionals network cfg.keyServices.environmentFiles;
in
{
  # Without `&` and `<`, which not everybody escapes who writes a property list.
  ProgramArguments = [
    "/bin/sh"
    "-c"
    (
      "set -e; /bin/wait4path /nix/store; "
      + lib.optionalString (files != [ ]) "set -f; IFS='\n'\n${lib.concatStrings (map variables files)}"
      + "exec ${cfg.package}/bin/secretctl activate ${lib.optionalString network "--network "}${cfg.manifestFile}"
    )
  ];
  RunAtLoad = true;
  # A secret that cannot be decrypted does not get better by trying all the time; a network does.
  KeepAlive =
    if network then
      {
        SuccessfulExit = false;
      }
    else
      false;
  ProcessType = "Background";
  StandardErrorPath = log;
  StandardOutPath = log;
  EnvironmentVariables = {
    PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
  }
  // lib.optionalAttrs network cfg.keyServices.environment;
}
// lib.optionalAttrs network { ThrottleInterval = 60; }
