#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The second gateway of ceph/two-gateways-*, which start it.
# vm: net=10.77.0.2 timeout=900 hung_task=600 slots=0

# shellcheck source=tests/cases/ceph/gateways.bash
. "${0%/*}/../ceph/gateways.bash"

join_cluster
start_tcmud
gateway 2 "$FAILOVER"
on_host tell first ready
while :; do
	asks_host hear second 50 || continue
	word=$OUTPUT
	say "told: $word"
	case $word in
	kill) stop_tcmud KILL ;;
	start) start_tcmud ;;
	end) break ;;
	*) fail "what is $word?" ;;
	esac
	on_host tell first "$word"
done
no_gateway
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
