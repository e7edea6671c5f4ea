# What sops-nix does on nix-darwin beside installing secrets.
{
  config,
  options,
  common,
  ...
}:
let
  cfg = config.sops;
in
{
  assertions = [
    {
      assertion = !cfg.age.generateKey;
      message =
        "`sops.age.generateKey` makes no key on macOS: make one with `age-keygen -o FILE` and name it in "
        + "`sops.age.keyFile`";
    }
  ]
  ++ common.noDaemon options "sops-install-secrets"
  ++ common.noDaemon options "sops-install-secrets-for-users";
}
