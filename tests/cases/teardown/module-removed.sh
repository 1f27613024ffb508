#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# After all deletes the kernel's module can be removed and loaded again under the running daemon.
# vm: accel=icount

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/disk.img
for ((i = 0; i < 2; i++)); do
	make_backstore_configfs disk /srv/disk.img $((64 << 20))
	delete_backstore_configfs disk
	rmdir "$CORE/$HBA"
	milliseconds must rmmod target_core_user
	figure rmmod $MS 1000
	must modprobe target_core_user
done
milliseconds make_backstore_configfs disk /srv/disk.img $((64 << 20))
figure "create afterwards" "$MS" 500
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
