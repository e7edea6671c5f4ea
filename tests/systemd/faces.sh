# ended UNIT...: waits until units that go by themselves are gone
ended() {
  for unit; do
    until systemctl show --property ActiveState --value "$unit" | grep -qx -e inactive -e failed; do
      sleep 0.1
    done
  done
}

say agenix stat -Lc '%a %U:%G' /run/agenix/plain
say agenix.value cat /run/agenix/plain
say sops stat -Lc '%a %U:%G' /run/secrets/db/password
say template cat /run/secrets/rendered/app.conf
say wifi stat -Lc '%a %U:%G' /run/system-keys/wifi

say absent ls -A /run/one-keys /run/dynamic-keys
systemctl start one.service dynamic.service two.service
say alive systemctl is-active one.service one-keys.service dynamic.service dynamic-keys.service
say rights stat -Lc '%a %U:%G' /run/one-keys/password
say memory stat -fc %T /run/one-keys.d /run/dynamic-keys.d /run/agenix.d
say alice as alice cat /run/one-keys/password
say alice.dynamic as alice sh -c 'cat /run/dynamic-keys/password || cat /run/dynamic-keys/for-systemd/password'

systemctl restart one.service
say restarted cat /run/one-keys/password
systemctl stop one.service dynamic.service
ended one-keys.service dynamic-keys.service
say gone sh -c 'ls -A /run/one-keys /run/dynamic-keys /run/credentials/dynamic.service; ls -A /run/one-keys.d /run/dynamic-keys.d'
say gone.units systemctl is-active one-keys.service dynamic-keys.service
say unmounted sh -c 'grep -c -e one-keys -e dynamic-keys /proc/mounts'

systemctl start flaky.service
until [ "$(grep -c . /report/flaky)" = 2 ]; do sleep 0.1; done
say flaky.units systemctl is-active flaky.service flaky-keys.service

say failing systemctl start failing.service
ended failing-keys.service
say failing.gone sh -c 'ls -A /run/failing-keys; ls -A /run/failing-keys.d'
say strange systemctl start strange.service
say strange.units systemctl is-active strange.service strange-keys.service
say strange.why journalctl --no-pager -o cat -u strange-keys.service
