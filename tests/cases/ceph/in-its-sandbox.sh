#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The installed unit serves an RBD image in its sandbox, with the drop-in of the rbd handler.
# vm: init=systemd net=yes timeout=300

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/../service/unit.bash"

join_cluster
create_image disk 64M
load_tcmu
place_unit
must systemctl start $UNIT
DAEMON_PID=$(property MainPID)

# use_lun: makes a LUN of the image, writes to it, shows it and deletes it.
use_lun() {
	make_backstore disk 'rbd/disk;osd_op_timeout=30' 64M
	attach disk
	verified_writes "$DISK" 4M
	tcli "/backstores/user:$SUBTYPE" ls
	assert_match "$OUTPUT" 'rbd/disk' "the output of targetcli"
	detach disk
	trace_start
	delete_backstore disk
	assert_released 1 2000
}

use_lun
say "the sandbox permits all its system calls"
watch_sandbox
use_lun
nothing_forbidden
on_host rbd rm rbd/disk
must systemctl stop $UNIT
assert_eq "$(property Result)" success "the result"
