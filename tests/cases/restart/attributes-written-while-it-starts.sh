#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A write to an attribute, while a new daemon still opens the device, is answered when the device is served, and is not
# refused.
# vm: plugin=fault smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

SUBTYPE=fault
config='/srv/disk.img;open_hang_file=/run/hold'
start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk "$config" $((64 << 20))
stop_tcmud
touch /run/hold
start_tcmud
is_opening() { [[ $(tcmuctl list) =~ $HBA/disk\ +OPENING ]]; }
wait_for 10 is_opening

# write_attribute ATTRIBUTE VALUE: in the background, as a restore does; /run/ATTRIBUTE gets the result.
write_attribute() {
	# shellcheck disable=SC2016 # expanded by that shell
	bash -c 'echo "$2" >"$1" && echo written' - "$CORE/$HBA/disk/attrib/$1" "$2" >"/run/$1" 2>&1 &
	WRITER=$!
}
# Not by wchan, which is 0 on 5.10.
waits_for_answer() { grep -w tcmu_netlink_event_send "/proc/$WRITER/stack" >/dev/null; }

write_attribute dev_size $((64 << 20))
wait_for 10 waits_for_answer
is_opening || fail "the device is already open"
rm /run/hold
wait_for 10 not running $WRITER
assert_eq "$(</run/dev_size)" written "the result of writing the same size"
write_attribute dev_config "fault/$config"
wait_for 10 not running $WRITER
assert_eq "$(</run/dev_config)" written "the result of writing the same config string"

say "an invalid value is still refused"
write_attribute dev_size 513
wait_for 10 not running $WRITER
assert_match "$(</run/dev_size)" 'Invalid argument' "the result of a size that is no multiple of the block size"

delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
