#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The second gateway of ceph/two-gateways-* and ceph/multipathd: those tests start it, and send it commands.
# vm: net=10.77.0.2 timeout=900 hung_task=600 slots=0 smp=2

# shellcheck source=tests/cases/ceph/gateways.bash
. "${0%/*}/../ceph/gateways.bash"

join_cluster
start_tcmud
start_gateway 2 "$FAILOVER"
on_host put first ready
while :; do
	try_on_host get second 50 || continue
	word=$OUTPUT
	say "received: $word"
	case $word in
	takeovers) word=$(takeovers) ;;
	kill) stop_tcmud KILL ;;
	start) start_tcmud ;;
	end) break ;;
	*) fail "unknown command: $word" ;;
	esac
	on_host put first "$word"
done
remove_gateway
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
