# A boot with units of sops-nix, then its installer with other manifests.
say units systemctl is-active sops-install-secrets.service sops-install-secrets-for-users.service
say filesystem stat -f -c %T /run/secrets/
show() { echo "$(stat -L -c '%a %u %g' "$1") $(cat "$1")"; }
say value show /run/secrets/value
say owned show /run/secrets/owned
say link sh -c 'echo "$(readlink /etc/app/linked) $(cat /etc/app/linked)"'
say template show /run/secrets/rendered/app.env
say hash sh -c 'grep ^alice: /etc/shadow | cut -d: -f2; cat /run/secrets-for-users/alice'
say check /opt/secretctl/bin/sops-install-secrets -check-mode=manifest /etc/manifest.json
say check-broken /opt/secretctl/bin/sops-install-secrets -check-mode=manifest /etc/hostname

systemctl start restarted untouched
cp /etc/manifest-2.json /etc/manifest.json
systemctl restart sops-install-secrets.service
sleep 0.5
say changed cat /run/secrets/changing
for unit in restarted untouched; do
  cp "/report/$unit" "/report/$unit-2"
done

cp /etc/manifest-3.json /etc/manifest.json
systemctl restart sops-install-secrets.service
say state-of-failing systemctl is-active sops-install-secrets.service
say kept sh -c 'cat /run/secrets/changing; echo; cat /run/secrets/constant'
