#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The image of docs/examples/Containerfile serves as cephadm runs it. One that is killed is replaced by the next, a second one
# beside it ends, and the host rotates its log.
# vm: packages=yes disk=64M timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

IMAGE=/var/image/root.squashfs
[ -e $IMAGE ] || fail "no image: run this test by tests/packages/container"
ROOT=/run/root

# podman run OPTION... IMAGE: what podman does with these options: the image with changes in memory, its own processes and /run,
# and directories of the host. The output is in $LOG.
podman() {
	local mounts=()
	assert_eq "$1" run "the command"
	shift
	while [ $# -gt 1 ]; do
		case $1 in
		--privileged | --net=host) ;;
		-v) mounts+=("$2") && shift ;;
		*) fail "unknown option $1" ;;
		esac
		shift
	done
	# shellcheck disable=SC2016 # expanded by that shell
	exec env -i PATH="$PATH" unshare --mount --pid --ipc --uts --fork --kill-child bash -euc '
		root=$1 image=$2
		shift 2
		mkdir -p "$root"
		mount -t tmpfs tmpfs "$root"
		mkdir "$root"/{image,changes,work,merged}
		mount -o loop,ro "$image" "$root/image"
		mount -t overlay -o "lowerdir=$root/image,upperdir=$root/changes,workdir=$root/work" overlay "$root/merged"
		cd "$root/merged"
		mount -t proc proc proc
		mount -t sysfs sysfs sys
		mount -t tmpfs tmpfs run
		for mapping; do
			IFS=: read -r from to how <<<"$mapping"
			mkdir -p ".$to"
			mount --rbind "$from" ".$to"
			[ "$how" != ro ] || mount -o remount,bind,ro ".$to"
		done
		exec chroot . /usr/bin/tcmu-runner' - "$ROOT" $IMAGE "${mounts[@]}" >"$LOG" 2>&1 </dev/null
}

run_container() {
	podman run --privileged --net=host -v /dev:/dev -v /lib/modules:/lib/modules:ro -v /sys/kernel/config:/sys/kernel/config \
		-v /var/log/tcmud:/var/log -v /etc/ceph:/etc/ceph:ro tcmud
}
# start_container NAME: DAEMON_PID is the daemon.
start_container() {
	LOG=/run/$1.log
	run_container &
	CONTAINER=$!
	DAEMON_LOG=$LOG
	wait_for 60 grep -q 'is ready' "$LOG"
	DAEMON_PID=$(pgrep -x tcmu-runner)
}
log_of_daemon() { readlink /proc/"$DAEMON_PID"/fd/* | grep -c '/tcmu-runner\.log$'; }

pkill -x dbus-daemon
modprobe loop
modprobe overlay
mkdir -p /var/log/tcmud /etc/ceph
load_tcmu
find_scratch_disk
say "the first container"
start_container first
make_backstore_configfs disk "$SCRATCH" $((64 << 20))
attach disk
verified_writes "$DISK" 4M
must dd if=/dev/urandom of=/run/data bs=1M count=4 status=none
must dd if=/run/data of="$DISK" bs=1M seek=32 oflag=direct status=none
exists /var/log/tcmud/tcmu-runner.log || fail "the container has no log"

say "a second one beside it"
status=0
(LOG=/run/second.log ROOT=/run/second run_container) || status=$?
assert_eq "$status" 75 "the exit status of the second"

say "the host rotates its log"
mkdir /run/deb
must dpkg-deb --extract /var/packages/tcmud_*.deb /run/deb
sed 's,^/var/log/,&tcmud/,' /run/deb/etc/logrotate.d/tcmud >/run/rotation
must logrotate --force --state /run/logrotate.state /run/rotation
exists /var/log/tcmud/tcmu-runner.log.1 || fail "the log is not rotated"
wait_for 10 exists /var/log/tcmud/tcmu-runner.log
assert_eq "$(log_of_daemon)" 1 "the open log"

say "it is killed, and the next one serves"
kill -KILL "$DAEMON_PID"
wait "$CONTAINER" || :
start_container next
dd if="$DISK" bs=1M skip=32 count=4 iflag=direct status=none | cmp - /run/data
verified_writes "$DISK" 4M
detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
kill -TERM "$DAEMON_PID"
wait_for 30 not running "$CONTAINER"
