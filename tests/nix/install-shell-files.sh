# `installManPage` and `installShellCompletion`, as far as our packages use them: the same arguments
# as in nixpkgs, and the same places.
# shellcheck shell=bash disable=SC2154
installManPage() {
  local page
  for page; do
    install -D -m 444 "$page" "$out/share/man/man${page##*.}/${page##*/}"
  done
}

installShellCompletion() {
  local name='' target
  while [ $# -gt 0 ]; do
    case $1 in
      --cmd) name=$2 ;;
      --bash) target=bash-completion/completions/$name.bash ;;
      --fish) target=fish/vendor_completions.d/$name.fish ;;
      --zsh) target=zsh/site-functions/_$name ;;
      *)
        echo "installShellCompletion: $1" >&2
        return 1
        ;;
    esac
    if [ "$1" != --cmd ]; then
      mkdir -p "$out/share/${target%/*}"
      cat "$2" >"$out/share/$target"
    fi
    shift 2
  done
}
