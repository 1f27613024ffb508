#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A backstore that cannot be served is refused with one log line that names the reason. It leaves nothing, and does not
# affect another device under load.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# refused WHAT CONFIG SIZE PATTERN: a create in configfs fails, and the log line matches.
refused() {
	say "refused: $1"
	log_mark
	must_fail make_backstore_configfs bad "$2" "$3"
	if [ "$TCMU_DAEMON" = tcmud ]; then
		wait_for 5 logged "$4"
		assert_eq "$(log_since_mark | grep -c 'user_100/bad\|\bbad\b' || :)" 1 "the number of lines about it"
		say "  $(log_since_mark | tail -n 1)"
	fi
	delete_backstore_configfs bad
	wait_for 5 nothing_left bad
	wait_for 5 uio_files_are 1
}

# refused_by_targetcli WHAT CONFIG SIZE PATTERN: targetcli shows the reason before it makes anything.
refused_by_targetcli() {
	say "refused by targetcli: $1"
	must_fail targetcli "/backstores/user:$SUBTYPE" create name=bad size="$3" cfgstring="$2"
	assert_match "$OUTPUT" "$4" "the message of targetcli"
	say "  $(tail -n 1 <<<"$OUTPUT")"
	nothing_left bad || fail "the refused create left something"
}

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs good /srv/disk.img $((64 << 20))
attach good
load_start "$DISK" 16M

refused "another handler's config" rbd/image $((64 << 20)) 'rbd/image'
refused "a directory that does not exist" /no/such/directory/x.img $((64 << 20)) '/no/such/directory'
refused "a directory instead of a file" /srv $((64 << 20)) '/srv'
refused "a file that cannot be made" /host/tests/x.img $((64 << 20)) '/host/tests/x.img'
refused "an option that does not exist" '/srv/x.img;frobnicate=1' $((64 << 20)) 'frobnicate'
refused "a size of 1" /srv/x.img 1 '\b1\b'
refused "a size of 513" /srv/x.img 513 '\b513\b'
refused "a size of 0" /srv/x.img 0 '\b0\b'
[ ! -e /srv/x.img ] || fail "a refused create made the file"

refused_by_targetcli "another handler's config" rbd/image 64M 'rbd/image'
refused_by_targetcli "a directory that does not exist" /no/such/directory/x.img 64M '/no/such/directory'
refused_by_targetcli "an option that does not exist" '/srv/x.img;frobnicate=1' 64M 'frobnicate'
refused_by_targetcli "a comma, at which the kernel would cut" '/srv/x,y.img' 64M 'comma'

load_stop
detach good
delete_backstore_configfs good
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
