# A user who logs in while the key service says nothing, until it does.
chown -R alice:alice /home/alice
touch /etc/silent
perl /transit "$(cat /address)"
cd /home/alice || exit
mine() { as 1001 env HOME=/home/alice XDG_RUNTIME_DIR=/run/user/1001 "$@"; }
active() { mine systemctl --user is-active "$@"; }
within() {
  for step in $(seq 150); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
}
secrets=/home/alice/.config/secretctl/secrets
# There is no PAM here, which makes the folder of the session.
mkdir -p /run/systemd/system/user@1001.service.d
printf '[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/1001\n' >/run/systemd/system/user@1001.service.d/pam.conf
systemctl daemon-reload
install -d -m 700 -o alice -g alice /run/user/1001
say manager systemctl start user@1001.service
within active needs-near.service
say states active secretctl.service needs-near.service secretctl-network.service needs-far.service
say values sh -c "cat $secrets/near near"
say far cat $secrets/far
say nosy as 1002 cat "$(readlink -f $secrets/near)"
cp /srv/2-near.age /srv/near.age
begin=$(date +%s%N)
say switch mine sh /activation
say switched-soon [ $(($(date +%s%N) - begin)) -lt 2000000000 ]
say values-2 cat $secrets/near
failed() { [ "$(mine systemctl --user show -P NRestarts secretctl-network.service)" -gt 0 ]; }
within failed
rm /etc/silent
within active needs-far.service
say states-later active secretctl-network.service needs-far.service
say far-later cat $secrets/far
say needs-far cat far
say values-later sh -c "cat $secrets/near far"
systemctl stop user@1001.service
