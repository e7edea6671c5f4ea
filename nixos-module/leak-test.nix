# For tests of NixOS in virtual machines: a part of the test script that fails where a canary, a value that
# the test uses as a secret, stands in the system of a machine, in all that this refers to, or in a log. The
# whole store is shared with the host, and there the test script itself has the canaries.
#
#     testScript = secretctl.lib.leakTest + ''
#       machine.wait_for_unit("app.service")
#       assert_no_leak(machine, "canary-of-the-database", "canary-of-the-token")
#     '';
#
# The machine needs the package in `environment.systemPackages`. Canaries must be as hard to guess as real
# secrets, or they are not looked for, and the test fails.
''
  import base64


  def assert_no_leak(machine, *canaries, places="--closure /run/current-system --logs"):
      folder = machine.succeed("mktemp -d /run/canaries-XXXXXX").strip()
      for number, canary in enumerate(canaries):
          text = base64.b64encode(canary.encode()).decode()
          machine.succeed(f"echo {text} | base64 -d >{folder}/{number}")
      found = machine.execute(
          f"secretctl scan --json --all --memory none --secret-file {folder} {places}"
      )
      machine.succeed(f"rm -r {folder}")
      status, report = found
      assert status == 0, f"a canary leaked, or not all could be looked at:\n{report}"
      assert '"notSearched"' not in report, f"a canary is too easy to guess:\n{report}"

''
