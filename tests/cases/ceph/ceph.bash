# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# A guest that reaches a real cluster (tests/ceph/guests), and has the host do what it cannot.

# shellcheck source=tests/cases/lib.sh
. "${BASH_SOURCE[0]%/*}/../lib.sh"
SUBTYPE=rbd
[ -n "${CEPH_HOST:-}" ] || fail "there is no cluster; tests/ceph/guests starts one, and this test"

# on_host COMMAND...: what tests/ceph/host-proxy.py does; OUTPUT is what it printed.
on_host() {
	asks_host "$@" || fail "status $STATUS of the host's $*"
}

# asks_host COMMAND...: the same, as a condition.
asks_host() {
	local port
	exec {port}<>"/dev/tcp/$CEPH_HOST/$CEPH_HOST_PROXY"
	printf '%q ' "$@" >&"$port"
	echo >&"$port"
	read -r STATUS <&"$port"
	OUTPUT=$(cat <&"$port")
	exec {port}>&-
	[ "$STATUS" -eq 0 ]
}

# join_cluster: the network, and the cluster's configuration.
join_cluster() {
	local link
	modprobe virtio_net
	for link in /sys/class/net/e*; do
		must ip link set "${link##*/}" up
		must ip address add 10.0.2.15/24 dev "${link##*/}"
	done
	must ip route add default via 10.0.2.2
	mkdir -p /etc/ceph
	on_host conf
	printf '%s\n' "$OUTPUT" >/etc/ceph/ceph.conf
}

# image NAME SIZE: a new image. used NAME: BYTES is what it takes in the cluster.
image() { on_host rbd create --size "$2" "rbd/$1"; }
used() {
	on_host rbd du --exact --format json "rbd/$1"
	BYTES=$(python3 -ISE -c 'import json, sys; print(json.load(sys.stdin)["images"][0]["used_size"])' <<<"$OUTPUT")
}

# unwatched NAME: no client has it open; a condition.
unwatched() {
	asks_host rbd status "rbd/$1" && [[ $OUTPUT == *'Watchers: none'* ]]
}
