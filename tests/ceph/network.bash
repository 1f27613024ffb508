# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# A network of its own for a cluster and the guests that reach it through their emulators. From common.sh: project.

export CEPH_TEST_ADDRESS=10.77.0.1
HOST_PROXY_PORT=7000

# own_network COMMAND...: goes on as COMMAND in a network that has nothing but lo, with the addresses of the cluster and of the
# second guest, as the first one sees it.
own_network() {
	if [ "${TCMUD_CEPH_NETWORK:-}" != own ]; then
		# The image is fetched before there is no network any more.
		"$project/tests/vm/build-image" >/dev/null
		local as_root=()
		[ "$EUID" -eq 0 ] || as_root=(--map-root-user)
		TCMUD_CEPH_NETWORK=own exec unshare --net "${as_root[@]}" -- "$@"
	fi
	ip link set lo up
	ip address add $CEPH_TEST_ADDRESS/32 dev lo
	ip address add 10.77.0.2/32 dev lo
}

# start_host_proxy FOLDER [VM-RUN-OPTION...]: HOST_PROXY is the process that does for a guest what only the host can, with the cluster in FOLDER;
# HOST_PROXY_OPTIONS are what the guest's tests/vm/run needs to know of it, and so does that of a second guest.
start_host_proxy() {
	HOST_PROXY_OPTIONS=(--env "CEPH_HOST=$CEPH_TEST_ADDRESS" --env "CEPH_HOST_PROXY=$HOST_PROXY_PORT")
	python3 "$project/tests/ceph/host-proxy.py" $CEPH_TEST_ADDRESS $HOST_PROXY_PORT "$1" "$project/tests/ceph/cluster" \
		"$project/tests/vm/run" "${HOST_PROXY_OPTIONS[@]}" "${@:2}" &
	HOST_PROXY=$!
}

# stop_host_proxy: also one that has ended already, or was never started.
stop_host_proxy() {
	if [ -n "${HOST_PROXY:-}" ] && kill -0 "$HOST_PROXY" 2>/dev/null; then kill "$HOST_PROXY"; fi
}
