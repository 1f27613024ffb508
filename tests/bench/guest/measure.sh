#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures tcmud, tcmu-runner, the kernel's fileio and its ramdisk beside each other; judges nothing.
# vm: memory=4096
# vm: timeout=2400
# vm: hung_task=120
# vm: clock=tsc

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

# start_peer: Debian's tcmu-runner beside tcmud, with a /run and a bus of its own, where both want to be the only one.
start_peer() {
	DAEMON_LOG=/tmp/peer.log
	load_tcmu
	mkdir -p /etc/tcmu
	: >/etc/tcmu/tcmu.conf
	cp /opt/tcmu-runner/etc/dbus-1/system.d/*.conf /etc/dbus-1/system.d/
	# shellcheck disable=SC2016 # expanded by that shell
	LD_LIBRARY_PATH=/opt/tcmu-runner/usr/lib/x86_64-linux-gnu unshare -m bash -c '
		mount -t tmpfs tmpfs /run && mkdir /run/dbus && dbus-daemon --system --fork --nopidfile && touch /tmp/peer-bus
		exec /opt/tcmu-runner/usr/bin/tcmu-runner --handler-path "$LD_LIBRARY_PATH/tcmu-runner"' >$DAEMON_LOG 2>&1 </dev/null &
	PEER_PID=$!
	wait_for 30 peer_ready
}

peer_ready() {
	[ "$(readlink "/proc/$PEER_PID/exe")" = /opt/tcmu-runner/usr/bin/tcmu-runner ] &&
		busctl --quiet --timeout=2 --address="unix:path=/proc/$PEER_PID/root/run/dbus/system_bus_socket" get-property \
			org.kernel.TCMUService1 /org/kernel/TCMUService1/qcow org.kernel.TCMUService1 ConfigDesc >/dev/null 2>&1
}

# Before the peer leaves for a namespace of its own.
mkdir /bench
mount -t tmpfs -o size=75% tmpfs /bench
start_peer
mkdir -p /etc/tcmu
printf '%s' "${BENCH_CONF:-}" | tr ';' '\n' >/etc/tcmu/tcmu.conf
# The file handler alone: the raw files of the peer are its own, and not qcow images that tcmud would serve as well.
mkdir /run/handlers
cp "$(handler_dir)"/handler_file.so /run/handlers/
start_tcmud --config /etc/tcmu/tcmu.conf --handler-path /run/handlers
modprobe -a sd_mod tcm_loop target_core_file
say "measuring (mode ${BENCH_MODE:=full})"
python3 -ISE /host/tests/bench/measure.py --mode "$BENCH_MODE" --tcmud "$DAEMON_PID" --peer "$PEER_PID" ${BENCH_ONLY:+--only "$BENCH_ONLY"} \
	${BENCH_OPTIONS:+--options "$BENCH_OPTIONS"} /host/out/results.json
