#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Saved mode parameters survive a kill of the daemon, and a delete of the device, if it is made again with the same serial, as
# after a restart of the host. Parameters that were changed but not saved do not survive.
# vm: timeout=300 smp=1

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# control_is CURRENT SAVED: checks byte 2 of the control mode page (D_SENSE is 4), in hex.
control_is() {
	must sg_modes --page=0xa --control=0 "$DISK"
	assert_match "$OUTPUT" "8a 0a $1 10" "the current values"
	must sg_modes --page=0xa --control=3 "$DISK"
	assert_match "$OUTPUT" "8a 0a $2 10" "the saved values"
}

# cache_is ON: checks the current value of WCE, 0 or 1.
cache_is() {
	must sg_modes --page=8 --control=0 "$DISK"
	assert_match "$OUTPUT" "88 12 0$(($1 * 4)) 00" "the current caching mode page"
}

# Sets the serial after the device is enabled, as targetcli and a restore do.
make_disk() { # SERIAL
	make_backstore_configfs disk /srv/disk.img $((64 << 20))
	echo "$1" >"$CORE/$HBA/disk/wwn/vpd_unit_serial"
	attach disk
}

d_sense=a,a,6,10,0,40,0,0,ff,ff,0,0
no_cache=8,12,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0

start_tcmud
make_disk 11111111
control_is 02 02
cache_is 1

say "one page is saved, the other only changed"
must sg_wr_mode --save --page=0xa --contents=$d_sense "$DISK"
must sg_wr_mode --page=8 --contents=$no_cache "$DISK"
control_is 06 06
cache_is 0

say "the daemon is killed"
stop_tcmud KILL
start_tcmud
wait_for 20 uio_files_are 1
must sg_modes --page=0xa --control=0 "$DISK" # as the first command
assert_match "$OUTPUT" "8a 0a 06 10" "the current values"
control_is 06 06
cache_is 1

say "the device is deleted and made again"
detach disk
delete_backstore_configfs disk
make_disk 11111111
control_is 06 06

say "another serial has other parameters"
detach disk
delete_backstore_configfs disk
make_disk 22222222
control_is 02 02

say "a failure to save is reported"
mount -o bind,ro /var/lib/tcmud /var/lib/tcmud
must_fail sg_wr_mode --save --page=0xa --contents=$d_sense "$DISK"
log_mark
must_fail sg_wr_mode --save --verbose --page=0xa --contents=$d_sense "$DISK"
assert_match "$OUTPUT" 'Hardware Error|Internal target failure' "the answer"
wait_for 5 logged 'cannot save mode parameters for an initiator: '
control_is 06 02
umount /var/lib/tcmud
must sg_wr_mode --save --page=0xa --contents=$d_sense "$DISK"
control_is 06 06

detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
