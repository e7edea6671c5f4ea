# The life of the host until it is switched off. See systemd.rs for what is expected.
credentials=/run/secretctl/credentials.socket

# boot: files
say target systemctl is-active secretctl.target
say filesystem stat -f -c %T /run/secrets/
say folder stat -c '%a %U %G' /run/secrets.d
cd /run/secrets || exit
say modes stat -c '%a %u %g %n' plain named numeric nested/deep
say values sh -c 'for i in plain named numeric nested/deep; do cat $i; echo; done'
cd /
say linked sh -c 'echo "$(readlink /etc/app/token) $(cat /etc/app/token)"'
say copied sh -c 'echo "$(stat -c "%F %a %u" /var/lib/app/copy) $(cat /var/lib/app/copy)"'
say nosy-reads as 1003 cat /run/secrets/plain
say nosy-lists as 1003 ls /run/secrets/
say app-reads as 990 cat /run/secrets/named
say template cat /run/secrets/app.conf
say template-mode stat -c '%a %u' /run/secrets/app.conf

# boot: users
say shadow-alice sh -c 'grep ^alice: /etc/shadow | cut -d: -f2'
say shadow-bob sh -c 'grep ^bob: /etc/shadow | cut -d: -f2'
when() { systemctl show -P "$2" "$1"; }
[ "$(when secretctl-early ExecMainExitTimestampMonotonic)" -lt \
  "$(when systemd-sysusers ExecMainStartTimestampMonotonic)" ]
say early-before-users [ $? -eq 0 ]

# services
say early-asker-seen cat /var/lib/early-asker/seen
say credentials-before ls /run/credentials/app.service
systemctl start app other dynamic instance@x-y.service &
say app-start systemctl start app
wait
say dynamic-start systemctl is-active dynamic
say app-seen cat /var/lib/app-state/seen
say other-seen sh -c 'head -n 1 /var/lib/other/seen'
say dynamic-seen cat /var/lib/dynamic/seen
say instance-seen cat /var/lib/instance-x-y/seen
systemctl start long
say long-seen cat /var/lib/long/seen
say nosy-reads-credential as 1003 cat /run/credentials/app.service/token
say nosy-reads-dynamic as 1003 cat /run/credentials/dynamic.service/token
say app-stop systemctl stop app
say credentials-after ls /run/credentials/app.service
say nowhere-else grep -rl other-canary /run/secrets.d /run/secretctl /tmp /var/tmp /dev/shm
say greedy-start systemctl start greedy
say greedy-result systemctl show -P ExecMainStatus greedy
say greedy-seen cat /var/lib/greedy/seen
say failing-start systemctl start failing
say failing-result systemctl show -P ExecMainStatus failing
say failing-seen cat /var/lib/failing/seen

# another file in the same place
mv /srv/other.age /srv/other.age.kept
cp /srv/plain.age /srv/other.age
systemctl restart other
say other-seen-2 sh -c 'head -n 1 /var/lib/other/seen'
mv /srv/other.age.kept /srv/other.age

# a storm
systemctl reset-failed
for unit in app other dynamic instance@1 instance@2 instance@3 instance@4 instance@5; do
  mkdir -p "/run/systemd/system/$unit.service.d"
  printf '[Unit]\nStartLimitIntervalSec=0\n' >"/run/systemd/system/$unit.service.d/storm.conf"
done
systemctl daemon-reload
for round in 1 2 3 4 5 6; do
  for unit in app other dynamic instance@1 instance@2 instance@3 instance@4 instance@5; do
    systemctl restart "$unit.service" || echo "$round $unit"
  done &
done >/report/storm 2>&1
wait
say storm-seen cat /var/lib/dynamic/seen
say socket-after-storm systemctl is-active secretctl-credentials.socket

# who pretends to be systemd
cat >/impostor <<'P'
use Socket;
my ($unit, $name) = @ARGV;
socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
bind($s, pack_sockaddr_un("\0" . sprintf("%x", $$) . "/unit/$unit/$name")) or die;
connect($s, pack_sockaddr_un("/run/secretctl/credentials.socket")) or die;
my ($all, $piece) = "";
$all .= $piece while length $all <= 1048576 and sysread $s, $piece, 65536;
print length $all > 1048576 && $all !~ /[^\0]/ ? "more than 1 MiB of nothing" : $all, "\n";
P
impostor() {
  systemd-run --quiet --wait --pipe --unit=impostor.service perl /impostor "$@"
}
say impostor impostor app.service token
say impostor-outside perl /impostor app.service token
systemctl start itself

say credentials-log journalctl -u secretctl-credentials -o cat --no-pager
say credentials-errors journalctl -u secretctl-credentials -p 3 -o cat --no-pager
say credentials-warnings journalctl -u secretctl-credentials -p 4 -o cat --no-pager
for unit in secretctl-early secretctl secretctl-credentials secretctl-scan; do
  say "security-$unit" sh -c "systemd-analyze security --no-pager $unit.service | tail -n 1"
done
say swap sh -c 'for i in secretctl-early secretctl secretctl-credentials secretctl-scan; do
  systemctl show -P MemorySwapMax $i; done | sort -u'
say secretctl-capabilities systemctl show -P CapabilityBoundingSet secretctl.service

# the scan of the store
scan() {
  systemctl start secretctl-scan
  say "scan-$1" systemctl show -P ExecMainStatus secretctl-scan
  say "scan-$1-state" systemctl is-failed secretctl-scan
  systemctl reset-failed secretctl-scan
}
say scan-timer systemctl show -P TimersCalendar secretctl-scan.timer
say scan-timer-active systemctl is-active secretctl-scan.timer
scan clean
say scan-memory sh -c 'find /var/lib/secretctl-scan -printf "%m %u\\n" | sort -u'
leak=/nix/store/0c7n7yp4lmrlzyjdvh1jmjrdglqccyj8-app.conf
echo "token = $(cat /run/secrets/plain)" | gzip >$leak
scan leak
rm $leak
echo "password = $(cat /run/secrets/nested/deep)" >/boot/initrd
scan leak-boot
rm /boot/initrd
head -c 20 /dev/urandom | gzip | head -c 15 >$leak
scan damaged
rm $leak
scan again
say scan-log journalctl -u secretctl-scan -o cat --no-pager

# a dry run
state() {
  ls -lR --time-style=full-iso /run/secrets.d /run/secrets /etc/app
  cat /run/secrets/changing
}
state >/report/dry-before
say dry sh /generations/2/pre-switch
mv /srv/strange.age /srv/strange.age.kept
cp /srv/plain.age /srv/strange.age
say dry-sound sh /generations/2/pre-switch
mv /srv/alice-2.age /srv/alice-2.age.kept
cp /srv/strange.age.kept /srv/alice-2.age
say dry-early sh /generations/2/pre-switch
mv /srv/alice-2.age.kept /srv/alice-2.age
mv /srv/strange.age.kept /srv/strange.age
state >/report/dry-after

# switches
say same switch 1
systemctl restart secretctl.service
sleep 0.3
say same-counts sh -c 'cd /report; for i in restarted reloaded templated untouched; do wc -l <$i; done | paste -sd " "'
say switch switch 2
# the restarts are not waited for
systemctl start restarted reloaded templated
systemctl is-system-running --wait >/dev/null
sleep 0.5
say changed cat /run/secrets/changing
say template-changed cat /run/secrets/app.conf
for unit in restarted reloaded templated untouched; do
  cp "/report/$unit" "/report/$unit-2"
done
say sleeping-2 sh -c 'cat /report/sleeping /report/reloaded-sleeping 2>/dev/null'
say target-2 systemctl is-active secretctl.target
say removed ls /run/secrets/removed
say removed-link ls -d /etc/app/removed
say generations ls /run/secrets.d
say generation-of-link sh -c 'basename "$(readlink /run/secrets)"'
say shadow-bob-2 sh -c 'grep ^bob: /etc/shadow | cut -d: -f2'

# one that fails
systemctl start needs
since=$(systemctl show -P ActiveEnterTimestampMonotonic needs)
say switch-3 switch 3
say unit-3 systemctl is-active secretctl.service
say target-3 systemctl is-active secretctl.target
say failed-3 systemctl list-units --failed --plain --no-legend secretctl.service
say needs-3 sh -c "systemctl show -P ActiveEnterTimestampMonotonic needs | grep -x $since"
say linked-3 cat /etc/app/token
say failing-3 cat /run/secrets/failing
say values-3 sh -c 'cat /run/secrets/plain; echo; cat /run/secrets/changing'
say secretctl-errors journalctl -u secretctl.service -p 3 -o cat --no-pager
say back switch 2
systemctl start secretctl.target
say target-4 systemctl is-active secretctl.target

# a file on the machine that is another one, under the same configuration
mv /srv/changing-2.age /srv/changing-2.age.kept
cp /srv/changing.age /srv/changing-2.age
systemctl show -P ActiveEnterTimestampMonotonic secretctl.service needs >/report/again-before
say again switch 2
say again-changing cat /run/secrets/changing
say again-after systemctl show -P ActiveEnterTimestampMonotonic secretctl.service needs
mv /srv/changing-2.age.kept /srv/changing-2.age
say again-back switch 2
