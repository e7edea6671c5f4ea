# The programs that secretctl stands in for, as links to it. Apart from the package, since they have
# the names of the real ones.
{ runCommand, secretctl }:
runCommand "secretctl-front-ends-${secretctl.version}"
  {
    meta = secretctl.meta // {
      description = "secretctl under the names of agenix, ragenix, sops and sops-install-secrets";
      mainProgram = "agenix";
    };
  }
  ''
    mkdir -p $out/bin
    for name in agenix ragenix sops sops-install-secrets; do
      ln -s ${secretctl}/bin/secretctl $out/bin/$name
    done
  ''
