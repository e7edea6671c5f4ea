# A boot with a key service that says nothing, until it does.
when() { systemctl show -P ActiveEnterTimestampMonotonic "$1"; }
say states systemctl is-active secretctl.service secretctl.target secretctl-network.target needs-far.service multi-user.target
say result systemctl show -P Result secretctl-network.service
say near cat /run/secrets/near
say far cat /run/secrets/far
say took echo $((($(when multi-user.target) - $(when network-online.target)) / 1000))
# nobody listens at all
systemctl stop transit
say refused systemctl restart secretctl-network.service
say near-refused cat /run/secrets/near
rm /etc/silent
systemctl start transit
for step in $(seq 100); do
  [ "$(systemctl is-active needs-far.service)" != active ] || break
  sleep 0.1
done
say states-later systemctl is-active secretctl-network.service secretctl-network.target needs-far.service
