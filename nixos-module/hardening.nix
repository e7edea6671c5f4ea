# What the services may do, cut down to what they need. Where plugins, gpg or programs of the user are run, these
# may need devices and memory that they make executable.
#
# The file systems of the stores are units of their own: what a service with a view of its own mounts,
# nobody else sees. `PrivateTmp` is not there, since it waits for what the early service must be before.
# For `PrivateDevices`, `PrivateNetwork`, `ProcSubset` and `ProtectProc` systemd prepares mounts below /tmp,
# which is mounted or emptied at the same time: now and then the service would not start.
{ lib, runsPrograms }:
let
  common = {
    NoNewPrivileges = true;
    LockPersonality = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    RestrictNamespaces = true;
    RestrictAddressFamilies = [ "AF_UNIX" ] ++ lib.optional runsPrograms "AF_NETLINK";
    SystemCallArchitectures = "native";
    SystemCallFilter = [
      "@system-service"
      "~@resources"
    ];
    SystemCallErrorNumber = "EPERM";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    KeyringMode = "private";
    LimitCORE = 0;
    MemorySwapMax = 0;
    UMask = "0077";
  }
  // lib.optionalAttrs (!runsPrograms) {
    DevicePolicy = "closed";
    IPAddressDeny = "any";
    MemoryDenyWriteExecute = true;
  };
  # We write nothing, unlike what we may run: gpg locks its folder.
  readOnly = lib.optionalAttrs (!runsPrograms) {
    ProtectHome = "read-only";
    ProtectSystem = "strict";
  };
in
{
  # Links and copies may be anywhere, and belong to anybody.
  activate = common // {
    CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER";
  };
  # The same, over a network, long after /tmp is in place.
  network =
    removeAttrs common [ "IPAddressDeny" ]
    // {
      CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER";
      PrivateMounts = true;
      ProtectProc = "invisible";
      RestrictAddressFamilies = [
        "AF_UNIX"
        "AF_NETLINK"
        "AF_INET"
        "AF_INET6"
      ];
    }
    // lib.optionalAttrs (!runsPrograms) {
      PrivateDevices = true;
      ProcSubset = "pid";
    };
  # Keys may belong to others. Who asks is looked up in /proc.
  credentials =
    common
    // {
      CapabilityBoundingSet = "CAP_DAC_OVERRIDE";
    }
    // readOnly;
  # It starts long after /tmp is in place.
  scan =
    common
    // {
      CapabilityBoundingSet = "CAP_DAC_READ_SEARCH";
      PrivateTmp = true;
      ProtectHome = "read-only";
      ProtectProc = "invisible";
      ProtectSystem = "strict";
    }
    // lib.optionalAttrs (!runsPrograms) {
      PrivateDevices = true;
      PrivateNetwork = true;
    };
}
