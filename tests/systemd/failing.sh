# A boot with something missing.
say states systemctl is-active secretctl.service secretctl.target multi-user.target
say app systemctl start app.service
say secret cat /run/secrets/failing
say link ls -d /etc/app/token
say others cat /run/secrets/plain
say errors journalctl -u secretctl.service -p 3 -o cat --no-pager
