# The life of the host with a key service that is there, silent for a while, and there again.
when() { systemctl show -P ActiveEnterTimestampMonotonic "$1"; }
states() { systemctl is-active secretctl.service secretctl.target secretctl-network.service secretctl-network.target; }
values() { for i in near far mixed; do cat /run/secrets/$i; echo; done; }
say states states
say values values
for unit in secretctl.target needs-near.service; do
  [ "$(when $unit)" -lt "$(when network-online.target)" ]
  say "$unit-before-network" [ $? -eq 0 ]
done
[ "$(when network-online.target)" -lt "$(systemctl show -P ExecMainStartTimestampMonotonic secretctl-network)" ]
say asked-after-network [ $? -eq 0 ]
say security sh -c "systemd-analyze security --no-pager secretctl-network.service | tail -n 1"
say capabilities systemctl show -P CapabilityBoundingSet secretctl-network.service
say swap systemctl show -P MemorySwapMax secretctl-network.service

# What opens here once more, and a switch while the service is silent.
systemctl restart secretctl.service
say values-again values
touch /etc/silent
say switch switch 2
say states-silent states
say values-silent values
say errors journalctl -u secretctl-network.service -p 3 -o cat --no-pager
# A run that asks holds up nobody.
systemctl restart --no-block secretctl-network.service
sleep 0.5
begin=$(date +%s%N)
systemctl restart secretctl.service
say unheld [ $(($(date +%s%N) - begin)) -lt 2000000000 ]
rm /etc/silent
say back systemctl restart secretctl-network.service
systemctl start needs-far.service
say values-back values
say states-back states
