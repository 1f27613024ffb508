#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No event is sent (block_netlink): the uio error is the only signal of the delete, and it is enough.
# vm: alone=yes

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

# assert_no_longer_held MILLISECONDS: like assert_released 1 MILLISECONDS. A kernel without tcmu_vma_close() (5.10) frees a
# device only when it is closed before the unregister, and without an event nobody can: there the daemon closes it, and the
# kernel is seen to keep the memory.
assert_no_longer_held() {
	if grep -q ' tcmu_vma_close' /proc/kallsyms; then
		assert_released 1 "$1"
		figure release "$RELEASE_MS" "$1"
		return
	fi
	holds_within 3 daemon_has_no_uio || fail "the daemon still holds a uio device"
	[ "$(trace_count uio_release)" -ge 1 ] || fail "the uio device was not closed"
	assert_eq "$(trace_count kref_release)" 0 "the number of devices that this kernel released"
	say "closed; this kernel keeps the memory of a device closed after its unregister"
}

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
echo 1 >/sys/module/target_core_user/parameters/block_netlink
timed_delete disk
echo 0 >/sys/module/target_core_user/parameters/block_netlink
figure delete "$MS" 200
assert_no_longer_held 50
daemon_has_no_uio || fail "the daemon still holds a uio device"

say "after I/O"
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach disk
trace_start
echo 1 >/sys/module/target_core_user/parameters/block_netlink
delete_backstore_configfs disk
assert_no_longer_held 1000
echo 0 >/sys/module/target_core_user/parameters/block_netlink
nothing_left disk || fail "the backstore left something"
daemon_has_no_uio || fail "the daemon still holds a uio device"

say "the name and the file can be used again"
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
must dd if="$DISK" of=/dev/null bs=64k count=64 iflag=direct
detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
