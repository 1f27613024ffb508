#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An RBD image is served by the installed unit, in its sandbox, with the drop-in that comes with the handler.
# vm: init=systemd net=yes timeout=300

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/../service/unit.bash"

join_cluster
image disk 64M
load_tcmu
place_unit
must systemctl start $UNIT
DAEMON_PID=$(property MainPID)

# comes_and_goes: the image is made a LUN, written to, shown, and let go.
comes_and_goes() {
	make_backstore disk 'rbd/disk;osd_op_timeout=30' 64M
	attach disk
	verified_writes "$DISK" 4M
	tcli "/backstores/user:$SUBTYPE" ls
	assert_match "$OUTPUT" 'rbd/disk' "what targetcli shows"
	detach disk
	trace_start
	delete_backstore disk
	assert_released 1 2000
}

comes_and_goes
say "what it calls is not forbidden"
watch_sandbox
comes_and_goes
nothing_forbidden
on_host rbd rm rbd/disk
must systemctl stop $UNIT
assert_eq "$(property Result)" success "the result"
