#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed while it drains: the kernel releases the memory when the process ends, and the next daemon is clean.
# vm: timeout=180
# vm: plugin=fault smp=2

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

SUBTYPE=fault
echo "release_deadline_ms = 60000" >/run/tcmu.conf
start_tcmud --config /run/tcmu.conf
truncate -s 64M /srv/disk.img
touch /run/hold
make_backstore_configfs disk "/srv/disk.img;hold_file=/run/hold" $((64 << 20)) nl_reply_supported=-1
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
wait_for 5 uio_files_are 1
rm /run/hold
attach disk
touch /run/hold
dd if=/dev/zero of="$DISK" bs=64k count=4 oflag=direct 2>/dev/null &
wait_for 120 not running $!
detach disk
trace_start
log_mark
delete_backstore_configfs disk
wait_for 5 logged 'disk: LIVE .* -> DRAINING'
assert_eq "$(trace_count kref_release)" 0 "releases while the daemon drains"
milliseconds stop_tcmud KILL
figure "end of the killed daemon" "$MS" 1000
wait_for 2 released_unasked 1
rm /run/hold
start_tcmud
daemon_has_no_uio || fail "the new daemon holds a uio device"
make_backstore_configfs disk /srv/disk.img $((64 << 20))
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
