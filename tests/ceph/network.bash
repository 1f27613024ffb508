# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# The network namespace of a cluster and of the guests that reach it through their emulators. The caller sets project.

export CEPH_TEST_ADDRESS=10.77.0.1
HOST_PROXY_PORT=7000

# enter_network COMMAND...: restarts the script as COMMAND in a network namespace that has only lo, with the addresses of the
# cluster and of the second guest, as the first guest sees it.
enter_network() {
	if [ "${TCMUD_CEPH_NETWORK:-}" != entered ]; then
		# Building the image needs the network of the host.
		"$project/tests/vm/build-image" >/dev/null
		local as_root=()
		[ "$EUID" -eq 0 ] || as_root=(--map-root-user)
		TCMUD_CEPH_NETWORK=entered exec unshare --net "${as_root[@]}" -- "$@"
	fi
	ip link set lo up
	ip address add $CEPH_TEST_ADDRESS/32 dev lo
	ip address add 10.77.0.2/32 dev lo
}

# start_host_proxy DIR [VM-RUN-OPTION...]: starts the process that runs commands on the host for a guest, with the cluster in
# DIR. HOST_PROXY is its pid; HOST_PROXY_OPTIONS are the options by which tests/vm/run makes it known to a guest. A second
# guest gets the further options, too.
start_host_proxy() {
	HOST_PROXY_OPTIONS=(--env "CEPH_HOST=$CEPH_TEST_ADDRESS" --env "CEPH_HOST_PROXY=$HOST_PROXY_PORT")
	python3 "$project/tests/ceph/host-proxy.py" $CEPH_TEST_ADDRESS $HOST_PROXY_PORT "$1" "$project/tests/ceph/cluster" \
		"$project/tests/vm/run" "${HOST_PROXY_OPTIONS[@]}" "${@:2}" &
	HOST_PROXY=$!
}

# stop_host_proxy: does nothing if it has ended or was never started.
stop_host_proxy() {
	if [ -n "${HOST_PROXY:-}" ] && kill -0 "$HOST_PROXY" 2>/dev/null; then kill "$HOST_PROXY"; fi
}
