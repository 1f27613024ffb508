# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# For tests in a guest that reaches a real cluster (tests/ceph/guests), and runs commands on the host.

# shellcheck source=tests/cases/lib.sh
. "${BASH_SOURCE[0]%/*}/../lib.sh"
SUBTYPE=rbd
[ -n "${CEPH_HOST:-}" ] || fail "no cluster: run this test by tests/ceph/guests"

# on_host COMMAND...: runs a command of tests/ceph/host-proxy.py; OUTPUT is its output.
on_host() {
	try_on_host "$@" || fail "status $STATUS of the host's $*"
}

# try_on_host COMMAND...: the same, as a condition.
try_on_host() {
	local port
	exec {port}<>"/dev/tcp/$CEPH_HOST/$CEPH_HOST_PROXY"
	printf '%q ' "$@" >&"$port"
	echo >&"$port"
	read -r STATUS <&"$port"
	OUTPUT=$(cat <&"$port")
	exec {port}>&-
	[ "$STATUS" -eq 0 ]
}

# join_cluster: sets up the network and fetches the cluster's configuration.
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

# create_image NAME SIZE: a new image. used_bytes NAME: BYTES is the space that it occupies in the cluster.
create_image() { on_host rbd create --size "$2" "rbd/$1"; }
used_bytes() {
	on_host rbd du --exact --format json "rbd/$1"
	BYTES=$(python3 -ISE -c 'import json, sys; print(json.load(sys.stdin)["images"][0]["used_size"])' <<<"$OUTPUT")
}

# unwatched NAME: no client has it open; a condition.
unwatched() {
	try_on_host rbd status "rbd/$1" && [[ $OUTPUT == *'Watchers: none'* ]]
}
