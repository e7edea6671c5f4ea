# Builds a Rust package as nixpkgs does: a copy of the sources, cargo without the network, the
# programs installed, then the phase of the package.
# shellcheck shell=bash disable=SC2154,SC2086
for input in $nativeBuildInputs; do
  # shellcheck source=/dev/null
  . "$input"
done
cp -r "$src" source
chmod -R u+w source
cd source || exit
# The folder is where artifacts are kept between runs; nothing else of it is used.
profile=${buildType/debug/dev}
cargo build --offline --locked --bins --profile "$profile" --target-dir "$keptFolder"
install -D -t "$out/bin" "$keptFolder/$buildType/$pname"
eval "$postInstall"
