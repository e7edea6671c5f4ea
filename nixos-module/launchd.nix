# What launchd is told. The store may be on a volume that is mounted late, and what is run may need
# programs of the system.
{
  program,
  manifest,
  log,
}:
{
  ProgramArguments = [
    "/bin/sh"
    "-c"
    "/bin/wait4path /nix/store && exec ${program} activate ${manifest}"
  ];
  RunAtLoad = true;
  # A secret that cannot be decrypted does not get better by trying all the time.
  KeepAlive = false;
  ProcessType = "Background";
  StandardErrorPath = log;
  StandardOutPath = log;
  EnvironmentVariables.PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
}
