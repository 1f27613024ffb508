#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An attached disk is only used by the test: the kernel has read its partitions, however slow the backend is.
# vm: plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

kernel_has_attached() { [[ $(dmesg) == *"[${DISK##*/}] Attached SCSI disk"* ]]; }

SUBTYPE=fault
start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk '/srv/disk.img;delay_ms=1000' $((64 << 20))
attach disk
kernel_has_attached || fail "the kernel still attaches the disk: $(dmesg | tail -n 3)"
assert_eq "$(<"/sys/block/${DISK##*/}/inflight")" '       0        0' "the commands in flight"
detach disk
delete_backstore_configfs disk
stop_tcmud
