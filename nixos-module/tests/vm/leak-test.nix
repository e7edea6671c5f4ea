# What the flake offers for other tests: a canary in the environment of a unit is found, one that stands
# nowhere is not.
{ ... }:
let
  leaked = "canary-in-a-unit-8Kd73mZq0vWx";
in
{
  name = "secretctl-leak-test";
  nodes.machine =
    { config, ... }:
    {
      imports = [ ./parts/host.nix ];
      secretctl.secrets.good.file = ./secrets/first.age;
      environment.systemPackages = [ config.secretctl.package ];
      systemd.services.leaky = {
        wantedBy = [ "multi-user.target" ];
        environment.TOKEN = leaked;
        serviceConfig.ExecStart = "/run/current-system/sw/bin/sleep infinity";
      };
    };
  testScript =
    import ../../leak-test.nix
    + ''
      machine.wait_for_unit("leaky.service")
      machine.wait_for_unit("secretctl.target")
      assert_no_leak(machine, "canary-in-no-unit-4Tz91bQe7Lhs")
      try:
          assert_no_leak(machine, "canary-in-no-unit-4Tz91bQe7Lhs", "${leaked}")
      except AssertionError as error:
          assert "leaky.service" in str(error), error
      else:
          raise AssertionError("the canary in the unit was not found")
    '';
}
