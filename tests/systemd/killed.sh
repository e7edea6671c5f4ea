# The process that answers is killed while somebody waits for it.
systemctl start --no-block failing
for step in $(seq 100); do
  [ ! -e /run/secretctl/slow ] || break
  sleep 0.1
done
systemctl kill --signal=KILL secretctl-credentials.service
for step in $(seq 100); do
  [ "$(systemctl show -P ActiveState failing)" = activating ] || break
  sleep 0.1
done
say result systemctl show -P ExecMainStatus failing
say seen cat /var/lib/failing/seen
say errors journalctl -u secretctl-credentials -p 3 -o cat --no-pager
systemctl start app
say app-seen cat /var/lib/app-state/seen
sleep 0.5
say kept systemctl show -P NFileDescriptorStore secretctl-credentials
