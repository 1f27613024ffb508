#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures tcmud, tcmu-runner, the kernel's fileio and its ramdisk in one guest, without limits; and a ublk device, where asked to.
# vm: smp=2 memory=4096
# vm: timeout=2400
# vm: hung_task=120
# vm: bench=yes

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

# start_tcmu_runner: Debian's tcmu-runner beside tcmud, with a separate /run and bus, because each daemon must be the only
# one there.
start_tcmu_runner() {
	DAEMON_LOG=/tmp/tcmu-runner.log
	load_tcmu
	mkdir -p /etc/tcmu
	: >/etc/tcmu/tcmu.conf
	cp /opt/tcmu-runner/etc/dbus-1/system.d/*.conf /etc/dbus-1/system.d/
	# shellcheck disable=SC2016 # expanded by that shell
	LD_LIBRARY_PATH=/opt/tcmu-runner/usr/lib/x86_64-linux-gnu unshare -m bash -c '
		mount -t tmpfs tmpfs /run && mkdir /run/dbus && dbus-daemon --system --fork --nopidfile && touch /tmp/second-bus
		exec /opt/tcmu-runner/usr/bin/tcmu-runner --handler-path "$LD_LIBRARY_PATH/tcmu-runner"' >$DAEMON_LOG 2>&1 </dev/null &
	RUNNER_PID=$!
	wait_for 30 tcmu_runner_ready
}

tcmu_runner_ready() {
	[ "$(readlink "/proc/$RUNNER_PID/exe")" = /opt/tcmu-runner/usr/bin/tcmu-runner ] &&
		busctl --quiet --timeout=2 --address="unix:path=/proc/$RUNNER_PID/root/run/dbus/system_bus_socket" get-property \
			org.kernel.TCMUService1 /org/kernel/TCMUService1/qcow org.kernel.TCMUService1 ConfigDesc >/dev/null 2>&1
}

# With a clock that counts instructions, hours pass while an idle guest waits for the host's disk. So it is not idle while
# programs are loaded.
SPINNER=0
case ${BENCH_MODE:=full} in exact*)
	chrt --idle 0 sh -c 'while :; do :; done' &
	SPINNER=$!
	;;
esac

# Before tcmu-runner gets a separate mount namespace.
mkdir /bench
if [ "${BENCH_STORE:=tmpfs}" = ram ]; then
	modprobe brd rd_nr=1 rd_size=$((640 << 10))
	mkfs.ext4 -q /dev/ram0
	mount /dev/ram0 /bench
else
	mount -t tmpfs -o size=75% tmpfs /bench
fi
RUNNER_PID=0
case ${BENCH_TARGETS:=tcmud,tcmu-runner,fileio,ramdisk} in *tcmu-runner*) start_tcmu_runner ;; esac
mkdir -p /etc/tcmu
printf '%s' "${BENCH_CONF:-}" | tr ';' '\n' >/etc/tcmu/tcmu.conf
# Only the file handler, and nbd for an image: with the qcow handler tcmud would serve the files of tcmu-runner, too.
mkdir /run/handlers
cp "$(handler_dir)"/handler_file.so /run/handlers/
[[ $BENCH_MODE != exact-@(image|clients) ]] || cp "$(handler_dir)"/handler_nbd.so /run/handlers/
start_tcmud --config /etc/tcmu/tcmu.conf --handler-path /run/handlers
modprobe -a sd_mod tcm_loop target_core_file
case $BENCH_TARGETS in *ublk*) modprobe -a ublk_drv target_core_iblock || fail "this kernel has no ublk devices" ;; esac
if [ "${BENCH_FABRIC:=loopback}" = iscsi ]; then
	modprobe -a iscsi_target_mod iscsi_tcp
	echo "InitiatorName=iqn.1993-08.org.debian:01:guest" >/etc/iscsi/initiatorname.iscsi
	iscsid
fi
say "measuring (mode $BENCH_MODE)"
export BENCH_FABRIC
python3 -ISE /host/tests/bench/measure.py --mode "$BENCH_MODE" --tcmud "$DAEMON_PID" --tcmu-runner "$RUNNER_PID" ${BENCH_ONLY:+--only "$BENCH_ONLY"} \
	--targets "$BENCH_TARGETS" --spinner "$SPINNER" ${BENCH_MARK:+--mark} ${BENCH_WARM:+--warm "$BENCH_WARM"} ${BENCH_SECONDS:+--seconds "$BENCH_SECONDS"} \
	${BENCH_FIRST:+--first "$BENCH_FIRST"} ${BENCH_OPTIONS:+--options "$BENCH_OPTIONS"} /host/out/results.json
