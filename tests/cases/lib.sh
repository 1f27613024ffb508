# SPDX-License-Identifier: Apache-2.0
#
# Shared by the tests in guests. A test is a script that sources this file, and fails by ending with a status other than 0:
# set -e is on, and every helper prints what it expected. Nothing here sleeps: tests wait by wait_for, which ends as soon as
# its condition holds and fails when it does not hold in time.
#
# Environment: TCMU_DAEMON=tcmu-runner runs a test against Debian's tcmu-runner, for comparison; TCMUD_ARGS is added to the
# arguments of every tcmud.
# shellcheck shell=bash

set -Eeuo pipefail
shopt -s nullglob
trap 'failed_at $?' ERR

CORE=/sys/kernel/config/target/core
FABRICS=/sys/kernel/config/target
TRACING=/sys/kernel/tracing
UIO=/sys/class/uio
TCMU_DAEMON=${TCMU_DAEMON:-tcmud}
CASES=/host/tests/cases
HBA=user_100 # for backstores made without targetcli, which counts from 0

OUTPUT=      # the output of the last must, must_fail or tcli
DISK=        # the disk that the last attach found
DAEMON_PID=  # the daemon that start_tcmud started last
DAEMON_LOG=  # the output of that daemon
DAEMON_STATUS=

if [ "$TCMU_DAEMON" = tcmu-runner ]; then SUBTYPE=qcow; else SUBTYPE='file'; fi

# ---- log, assertions, waiting ----

# print_line TEXT: prints a line of the test's log, with the seconds since the guest started.
print_line() {
	local uptime
	read -r uptime _ </proc/uptime
	printf '[%7s] %s\n' "$uptime" "$*"
}

# say TEXT: prints what happens. A test that prints its own text replaces it; its failures are printed all the same.
say() { print_line "$@"; }

fail() {
	trap - ERR
	print_line "FAILED: $*"
	explain
	exit 1
}

failed_at() {
	trap - ERR
	print_line "FAILED: ${BASH_COMMAND} (status $1) at ${BASH_SOURCE[1]##*/}:${BASH_LINENO[0]}"
	explain
	exit 1
}

# Prints what helps to understand a failure.
explain() {
	[ -z "$OUTPUT" ] || printf -- '--- last output:\n%s\n' "$OUTPUT"
	[ -z "$DAEMON_LOG" ] || [ ! -s "$DAEMON_LOG" ] || { echo "--- the daemon's log, its end:" && tail -n 15 "$DAEMON_LOG"; }
	echo "--- the kernel's log, its end:"
	dmesg | tail -n 8
}

# must COMMAND...: runs it, and fails the test unless it ends with 0. OUTPUT is its output.
must() {
	local status=0
	OUTPUT=$("$@" 2>&1) || status=$?
	[ $status -eq 0 ] || fail "status $status of: $*"
}

# must_fail COMMAND...: runs it, and fails the test if it ends with 0. OUTPUT is its output.
must_fail() {
	local status=0
	OUTPUT=$("$@" 2>&1) || status=$?
	[ $status -ne 0 ] || fail "no failure of: $*"
}

assert_eq() { # ACTUAL EXPECTED WHAT
	[ "$1" = "$2" ] || fail "$3 is '$1', not '$2'"
}

assert_le() { # ACTUAL LIMIT WHAT; decimals are allowed
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }' || fail "$3 is $1, more than $2"
}

assert_match() { # TEXT PATTERN WHAT; an extended regular expression
	[[ $1 =~ $2 ]] || fail "$3 does not match '$2': $1"
}

exec {NEVER_READABLE}<> <(:)

# wait_for SECONDS COMMAND...: repeats COMMAND until it ends with 0; fails the test after SECONDS.
wait_for() {
	holds_within "$@" || fail "not in $1 s: ${*:2}"
}

# holds_within SECONDS COMMAND...: the same, as a condition. COMMAND has run after the deadline, too, before this gives up: the
# machine may have paused between.
holds_within() {
	local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000)) checked_at
	shift
	until checked_at=${EPOCHREALTIME/[.,]/} && "$@"; do
		[ "$checked_at" -lt $deadline ] || return 1
		read -rt 0.02 -u "$NEVER_READABLE" || :
	done
}

not() { ! "$@"; }
exists() { [ -e "$1" ]; }

# milliseconds COMMAND...: runs it; MS is its duration.
milliseconds() {
	local start=${EPOCHREALTIME/[.,]/}
	"$@"
	# shellcheck disable=SC2034 # for the test
	MS=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
}

# running PID: the process exists and is not a zombie; a condition.
running() {
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
	[[ ${stat##*) } != Z* ]]
}

# ---- the daemon ----

# start_tcmud [ARGUMENT...]: starts it and waits until it reports that it is ready.
start_tcmud() {
	launch_tcmud "$@"
	holds_within 30 tcmud_ready_or_gone || fail "the daemon does not become ready"
	running "$DAEMON_PID" || fail "the daemon ended before it was ready"
	say "$TCMU_DAEMON runs (pid $DAEMON_PID)"
}

# launch_tcmud [ARGUMENT...]: starts it and does not wait. LAUNCHER may be a command that runs it (strace, setpriv, ...).
launch_tcmud() {
	local arguments=()
	daemon_starts=$((${daemon_starts:-0} + 1))
	DAEMON_LOG=/run/tcmud-$daemon_starts.log
	load_tcmu
	if [ "$TCMU_DAEMON" = tcmu-runner ]; then
		launch_tcmu_runner
		return
	fi
	if [ ! -S /run/notify.socket ]; then
		python3 -ISE $CASES/notify-listener.py /run/notify.socket /run/notify.log &
		wait_for 20 exists /run/notify.socket
	fi
	: >/run/notify.log
	read -ra arguments <<<"${TCMUD_ARGS:-}"
	NOTIFY_SOCKET=/run/notify.socket ${LAUNCHER:-} tcmud "${arguments[@]}" "$@" >"$DAEMON_LOG" 2>&1 </dev/null &
	DAEMON_PID=$!
}

# load_tcmu: loads the kernel's module, and sets the directory for its state as Debian's targetcli does.
load_tcmu() {
	if [ ! -d /sys/module/target_core_user ]; then
		modprobe target_core_user
		echo /etc/rtslib-fb-target >$FABRICS/dbroot
	fi
}

launch_tcmu_runner() {
	local prefix=/opt/tcmu-runner
	cp $prefix/etc/dbus-1/system.d/*.conf /etc/dbus-1/system.d/
	busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
	mkdir -p /etc/tcmu /var/log
	: >/etc/tcmu/tcmu.conf
	LD_LIBRARY_PATH=$prefix/usr/lib/x86_64-linux-gnu $prefix/usr/bin/tcmu-runner \
		--handler-path $prefix/usr/lib/x86_64-linux-gnu/tcmu-runner >"$DAEMON_LOG" 2>&1 </dev/null &
	DAEMON_PID=$!
}

tcmud_ready_or_gone() {
	if ! running "$DAEMON_PID"; then return 0; fi
	if [ "$TCMU_DAEMON" = tcmu-runner ]; then
		busctl --quiet --timeout=2 get-property org.kernel.TCMUService1 /org/kernel/TCMUService1/$SUBTYPE \
			org.kernel.TCMUService1 ConfigDesc >/dev/null 2>&1
	else
		[[ $(</run/notify.log) == *READY=1* ]]
	fi
}

# stop_tcmud [SIGNAL]: sends the signal (default TERM) and waits for the end. DAEMON_STATUS is the exit status.
stop_tcmud() {
	kill -"${1:-TERM}" "$DAEMON_PID"
	wait_tcmud
	say "$TCMU_DAEMON ended with status $DAEMON_STATUS"
}

# wait_tcmud [SECONDS]: waits until it has ended.
wait_tcmud() {
	wait_for "${1:-30}" not running "$DAEMON_PID"
	DAEMON_STATUS=0
	wait "$DAEMON_PID" 2>/dev/null || DAEMON_STATUS=$?
}

# daemon_has_no_uio [PID]: it has no uio file open or mapped, deleted files included; a condition.
daemon_has_no_uio() {
	local pid=${1:-$DAEMON_PID} link
	for link in "/proc/$pid/fd"/*; do
		[[ $(readlink "$link") != /dev/uio* ]] || return 1
	done
	! grep -q /dev/uio "/proc/$pid/maps"
}

# uio_files_are COUNT: the daemon has so many uio files open; a condition.
uio_files_are() {
	[ "$(find "/proc/$DAEMON_PID/fd" -lname '/dev/uio*' | wc -l)" -eq "$1" ]
}

# log_mark sets a mark in the daemon's log, log_since_mark prints the lines after it. logged PATTERN: such a line matches; a
# condition.
log_mark() { LOG_MARK=$(wc -l <"$DAEMON_LOG"); }
log_since_mark() { tail -n +$((LOG_MARK + 1)) "$DAEMON_LOG"; }
logged() { log_since_mark | grep -E "$1" >/dev/null; }

# handler_dir: the directory of the installed plugins.
handler_dir() {
	local dir
	dir=$(sed -n 's/^TCMUD_HANDLER_DIR:[A-Z]*=//p' /host/build/CMakeCache.txt)
	exists "$dir/handler_file.so" || fail "no handler_file.so in '$dir'"
	printf '%s\n' "$dir"
}

# snapshot [PID]: sets FDS, THREADS, RSS_KB and MAPS from the daemon's process.
snapshot() {
	local pid=${1:-$DAEMON_PID} key value fds
	fds=("/proc/$pid/fd"/*)
	FDS=${#fds[@]}
	MAPS=$(wc -l <"/proc/$pid/maps")
	while read -r key value _; do
		case $key in
		VmRSS:) RSS_KB=$value ;;
		Threads:) THREADS=$value ;;
		esac
	done <"/proc/$pid/status"
	say "daemon: $FDS file descriptors, $THREADS threads, $MAPS maps, $RSS_KB KiB resident"
}

# ---- backstores ----

# tcli PATH COMMAND...: runs the real targetcli.
tcli() {
	must targetcli "$@"
}

# make_backstore NAME CONFIG SIZE [KEY=VALUE...]: by targetcli. CONFIG is the config string after "file/".
make_backstore() {
	say "targetcli: create $1, $3 bytes, $2"
	tcli "/backstores/user:$SUBTYPE" create name="$1" size="$3" cfgstring="$2" "${@:4}"
}

delete_backstore() { # NAME
	say "targetcli: delete $1"
	tcli "/backstores/user:$SUBTYPE" delete "$1"
}

# configure_backstore NAME CONFIG SIZE [CONTROL]: in configfs, without enabling it. CONTROL: KEY=VALUE,...
configure_backstore() {
	mkdir -p "$CORE/$HBA/$1"
	echo -n "dev_config=$SUBTYPE/$2,dev_size=$3${4:+,$4}" >"$CORE/$HBA/$1/control"
}

# make_backstore_configfs NAME CONFIG SIZE [CONTROL]: as make_backstore, but in configfs, which is fast and returns the
# kernel's errno.
make_backstore_configfs() {
	configure_backstore "$@"
	echo 1 >"$CORE/$HBA/$1/enable"
}

delete_backstore_configfs() { # NAME
	rmdir "$CORE/$HBA/$1"
}

# timed_delete NAME: deletes the backstore; MS is the duration of rmdir() alone, without the start of a program.
timed_delete() {
	must python3 -ISE -c '
import os, sys, time
start = time.monotonic()
os.rmdir(sys.argv[1])
print(round((time.monotonic() - start) * 1000))' "$CORE/$HBA/$1"
	# shellcheck disable=SC2034 # for the test
	MS=$OUTPUT
}

# cycle_devices NAME CONFIG SIZE COUNT: makes and deletes the backstore so many times.
cycle_devices() {
	python3 -ISE $CASES/cycle-devices.py "$CORE/$HBA/$1" "dev_config=$SUBTYPE/$2,dev_size=$3" "$4"
}

# backstore_dir NAME: its directory in configfs, below any HBA.
backstore_dir() {
	local dir
	for dir in "$CORE"/*_*/"$1"; do
		printf '%s\n' "$dir"
		return
	done
	fail "no backstore is called $1"
}

# nothing_left NAME: no trace of the backstore in configfs or /sys/class/uio; a condition.
nothing_left() {
	local file uio dirs=("$CORE"/user_*/"$1")
	[ ${#dirs[@]} -eq 0 ] || return 1
	for file in "$UIO"/*/name; do
		read -r uio 2>/dev/null <"$file" || continue
		if [[ $uio == tcm-user/*/"$1"/* ]]; then return 1; fi
	done
}

# ---- a disk from a backstore ----

naa_of() { # NAME
	printf 'naa.5001405%09x\n' "$(cksum <<<"$1" | cut -d' ' -f1)"
}

# disk_is_ready BLOCK: the disk of this directory of sysfs has its node, DISK, and from now on only the test uses it: the kernel
# has read its partitions, and udev, if it runs, has read what it needs. A condition. (A test that stops the backend before that
# also stops the next program that opens the disk, for as long as the kernel reads one block for each format of partitions.)
disk_is_ready() {
	DISK=/dev/${1##*/}
	[ -b "$DISK" ] && [ "$(<"$1/size")" -gt 0 ] || return 1
	# The device is locked while it is probed, which ends with the partitions; this, which changes nothing, waits for the lock.
	echo on >"$1/device/power/control" || return 1
	[ ! -S /run/udev/control ] || udevadm settle
}

# disk_appeared H:C:T:L: the disk is ready, and DISK is its node; a condition.
disk_appeared() {
	local block
	for block in /sys/class/scsi_disk/"$1"/device/block/*; do
		disk_is_ready "$block"
		return
	done
	return 1
}

disk_gone() { # DISK
	[ ! -e "/sys/block/${1##*/}" ]
}

# attach NAME: makes a loopback LUN in configfs; DISK is its node.
attach() {
	local tpg
	tpg=$FABRICS/loopback/$(naa_of "$1")/tpgt_1
	modprobe -a sd_mod sg tcm_loop
	mkdir -p "$tpg"
	naa_of "nexus of $1" >"$tpg/nexus"
	mkdir "$tpg/lun/lun_0"
	ln -s "$(backstore_dir "$1")" "$tpg/lun/lun_0/$1"
	wait_for 20 disk_appeared "$(<"$tpg/address"):0"
	say "$1 is $DISK"
}

# attach_patiently NAME: the same, and neither the kernel's target nor the initiator gives a command up for three minutes. For
# tests in which packages are installed while nobody serves, which takes long on a busy machine.
attach_patiently() {
	echo 180 >"$(backstore_dir "$1")/attrib/cmd_time_out"
	attach "$1"
	echo 180 >"/sys/block/${DISK##*/}/device/timeout"
}

detach() { # NAME
	local tpg
	tpg=$FABRICS/loopback/$(naa_of "$1")/tpgt_1
	rm "$tpg/lun/lun_0/$1"
	rmdir "$tpg/lun/lun_0"
	echo NULL >"$tpg/nexus"
	rmdir "$tpg" "${tpg%/*}"
}

# attach_targetcli NAME: the same by targetcli.
attach_targetcli() {
	local naa
	naa=$(naa_of "$1")
	modprobe -a sd_mod sg
	tcli /loopback create "$naa"
	tcli "/loopback/$naa/luns" create "/backstores/user:$SUBTYPE/$1"
	wait_for 20 disk_appeared "$(<"$FABRICS/loopback/$naa/tpgt_1/address"):0"
	say "$1 is $DISK"
}

detach_targetcli() { # NAME
	tcli /loopback delete "$(naa_of "$1")"
}

# iscsi_target NAME: makes an iSCSI target for the backstore by targetcli; IQN is its name.
iscsi_target() {
	IQN=iqn.2003-01.org.linux-iscsi.guest:$1
	tcli /iscsi create "$IQN"
	tcli "/iscsi/$IQN/tpg1" set attribute authentication=0 generate_node_acls=1 demo_mode_write_protect=0
	tcli "/iscsi/$IQN/tpg1/luns" create "/backstores/user:$SUBTYPE/$1"
}

# iscsi_login IQN: logs in by open-iscsi; DISK is the LUN's node.
iscsi_login() {
	modprobe -a sd_mod sg iscsi_tcp
	echo "InitiatorName=iqn.1993-08.org.debian:01:guest" >/etc/iscsi/initiatorname.iscsi
	if [ -d /run/systemd/system ]; then
		must systemctl start iscsid
	elif [ ! -e /run/iscsid.pid ]; then
		iscsid
	fi
	must iscsiadm -m discovery -t sendtargets -p 127.0.0.1
	must iscsiadm -m node -T "$1" -p 127.0.0.1 --login
	wait_for 20 iscsi_disk_appeared
	say "$1 is $DISK"
}

iscsi_disk_appeared() {
	local block
	for block in /sys/class/iscsi_session/session*/device/target*/*:*:*:*/block/*; do
		disk_is_ready "$block"
		return
	done
	return 1
}

iscsi_logout() { # IQN
	must iscsiadm -m node -T "$1" -p 127.0.0.1 --logout
}

# find_scratch_disk: SCRATCH is the disk of `# vm: disk=SIZE`, with physical blocks of disk_block=BYTES.
find_scratch_disk() {
	local serial
	for serial in /sys/block/vd*/serial; do
		[[ $(<"$serial") == scratch ]] || continue
		SCRATCH=/dev/$(basename "${serial%/serial}")
		return
	done
	fail "no scratch disk: the test needs '# vm: disk=SIZE'"
}

# scratch_disk FILE-SYSTEM: makes a file system on the scratch disk and mounts it at /scratch.
scratch_disk() {
	find_scratch_disk
	must "mkfs.$1" -q "$SCRATCH"
	mkdir -p /scratch
	must mount "$SCRATCH" /scratch
}

# verified_writes FILE SIZE: random writes of 4 KiB, sixteen at a time; then reads them back and checks their crc32c.
verified_writes() {
	say "fio: verified random writes, $2 in $1"
	must fio --name=verified --filename="$1" --size="$2" --rw=randwrite --bs=4k --iodepth=16 --ioengine=libaio --direct=1 \
		--verify=crc32c --verify_fatal=1 --do_verify=1
}

# load_start DISK SIZE [RATE]: endless verified random writes in the background, at most RATE (300) a second. load_stop ends
# them, and fails the test if there was an error.
load_start() {
	fio --name=load --filename="$1" --size="$2" --rw=randwrite --bs=4k --iodepth=16 --ioengine=libaio --direct=1 --time_based \
		--runtime=3600 --rate_iops="${3:-300}" --verify=crc32c --verify_fatal=1 --verify_backlog=64 --output=/run/load.txt >/dev/null 2>&1 &
	LOAD_PID=$!
}

load_stop() { fio_stop "$LOAD_PID" /run/load.txt; }

# fio_stop PID OUTPUT: ends a fio that would go on, so that it lasts as long as what happens meanwhile. Fails if it ended
# before, or if the file with its output, of either format, names an error.
fio_stop() {
	local status=0
	kill -INT "$1" 2>/dev/null || fail "fio ended too early: $(tail -n 20 "$2")"
	wait "$1" || status=$?
	if [ $status -ne 128 ] || ! grep -qE 'err= 0|"error" : 0' "$2"; then
		fail "fio ended with status $status: $(head -n 20 "$2")"
	fi
}

# reopen NAME: tcmuctl reopens a device that has failed. It is refused while the daemon itself opens it again.
reopen() { wait_for 20 is_reopened "$1"; }
is_reopened() { tcmuctl reopen "$1" >/dev/null 2>&1; }

# writes_of DISK: the number of writes it has completed. wrote DISK COUNT: at least so many; a condition.
writes_of() {
	local count
	read -r _ _ _ _ count _ <"/sys/block/${1##*/}/stat"
	echo "$count"
}
wrote() { [ "$(writes_of "$1")" -ge "$2" ]; }

# disk_bytes DISK
disk_bytes() {
	echo $(($(<"/sys/block/${1##*/}/size") * 512))
}

# ---- the release by the kernel, seen by kprobes ----

# trace_start: from now on the kernel traces uio_unregister_device, tcmu_dev_kref_release and uio_release.
trace_start() {
	modprobe target_core_user
	echo 0 >$TRACING/tracing_on
	echo mono >$TRACING/trace_clock
	echo 16384 >$TRACING/buffer_size_kb
	if [ ! -d $TRACING/events/tcmud ]; then
		{
			# shellcheck disable=SC2016 # $arg1 is the kernel's name of the first argument
			echo 'p:tcmud/unregister uio:uio_unregister_device info=$arg1:x64 idev=+0($arg1):x64 name=+0(+8($arg1)):string'
			# shellcheck disable=SC2016
			echo 'p:tcmud/kref_release target_core_user:tcmu_dev_kref_release kref=$arg1:x64'
			echo 'p:tcmud/uio_release uio:uio_release'
			# shellcheck disable=SC2016
			echo 'p:tcmud/idev_free uio:uio_device_release dev=$arg1:x64'
		} >$TRACING/kprobe_events
	fi
	echo >$TRACING/trace
	echo 1 >$TRACING/events/tcmud/enable
	echo 1 >$TRACING/tracing_on
}

trace_stop() {
	echo 0 >$TRACING/tracing_on
	echo 0 >$TRACING/events/tcmud/enable
	echo >$TRACING/kprobe_events
}

# trace_count EVENT: how often it was traced.
trace_count() {
	grep -c " $1: (" $TRACING/trace || :
}

released() { # COUNT
	[ "$(trace_count kref_release)" -ge "$1" ] && [ "$(trace_count idev_free)" -ge "$1" ]
}

# trace_release_ms: prints a line for each unregistered device: its name, the milliseconds from uio_unregister_device to
# tcmu_dev_kref_release and to uio_release ("-": has not happened).
trace_release_ms() {
	python3 -ISE $CASES/release-times.py $TRACING/trace
}

# assert_released COUNT LIMIT-MS: COUNT devices were unregistered since trace_start, and each was released within the limit,
# by its memory (kref) and by its file (uio_release). RELEASE_MS is the longest time.
assert_released() {
	local name kref file time count=0 longest=00
	holds_within $((3 + $2 / 1000)) released "$1" || { trace_release_ms; fail "not released: the kernel keeps the device's memory"; }
	while read -r name kref file; do
		count=$((count + 1))
		[ "$1" -gt 8 ] || say "$name: memory released $kref ms, file closed $file ms after unregister"
		if [ "$kref" = - ] || [ "$file" = - ]; then fail "$name: not released (kref $kref, uio $file)"; fi
		for time in "$kref" "$file"; do
			[ "${time/./}" -le "$longest" ] || longest=${time/./}
		done
	done < <(trace_release_ms)
	RELEASE_MS=${longest%?}.${longest: -1}
	assert_eq $count "$1" "the number of devices unregistered"
	assert_le "$RELEASE_MS" "$2" "the longest time from unregister to release (ms)"
}

# kernel_keeps_closed_devices: this kernel frees a device only if it was unmapped and closed before its unregister (5.10,
# see docs/kernels.md); a condition.
kernel_keeps_closed_devices() { ! grep -q ' tcmu_vma_close' /proc/kallsyms; }

# released_unasked COUNT: so many devices were released, or only closed where the kernel keeps closed devices; a condition.
released_unasked() {
	if kernel_keeps_closed_devices; then [ "$(trace_count uio_release)" -ge "$1" ]; else released "$1"; fi
}

# assert_released_unasked COUNT LIMIT-MS: as assert_released, after deletes for which the kernel has not waited for an
# answer, so that the daemon may close after the unregister. A kernel that then keeps the device may do so here; the daemon
# has to close it within the limit all the same. RELEASE_MS is the longest time.
assert_released_unasked() {
	local name kref file longest=00
	if ! kernel_keeps_closed_devices; then
		assert_released "$@"
		return
	fi
	holds_within $((3 + $2 / 1000)) released_unasked "$1" || fail "the daemon does not close the uio device"
	while read -r name kref file; do
		say "$name: file closed $file ms after unregister; memory released after $kref ms (-: this kernel keeps it)"
		[ "${file/./}" -le "$longest" ] || longest=${file/./}
	done < <(trace_release_ms)
	RELEASE_MS=${longest%?}.${longest: -1}
	assert_le "$RELEASE_MS" "$2" "the longest time from unregister to close (ms)"
}
