# After the host was switched off and on.
say target systemctl is-active secretctl.target
say unit systemctl is-active secretctl.service
say values sh -c 'cd /run/secrets; cat plain; echo; cat changing; echo; cat nested/deep'
say linked cat /etc/app/token
say shadow-bob sh -c 'grep ^bob: /etc/shadow | cut -d: -f2'
say early-asker-seen cat /var/lib/early-asker/seen
