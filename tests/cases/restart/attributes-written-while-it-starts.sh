#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever writes an attribute of a device that a daemon which has just started is opening still is answered when it is served,
# and is not refused.
# vm: plugin=fault

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

# write ATTRIBUTE VALUE: in the background, as a restore does it; its status goes to /run/ATTRIBUTE.
write() {
	# shellcheck disable=SC2016 # expanded by that shell
	bash -c 'echo "$2" >"$1" && echo written' - "$CORE/$HBA/disk/attrib/$1" "$2" >"/run/$1" 2>&1 &
	WRITER=$!
}
asked() { [ "$(<"/proc/$WRITER/wchan")" = tcmu_netlink_event_send ]; }

write dev_size $((64 << 20))
wait_for 10 asked
is_opening || fail "it is not being opened any more"
rm /run/hold
wait_for 10 not running $WRITER
assert_eq "$(</run/dev_size)" written "what became of the size that stays as it is"
write dev_config "fault/$config"
wait_for 10 not running $WRITER
assert_eq "$(</run/dev_config)" written "what became of the config that stays as it is"

say "what cannot be is still refused"
write dev_size 513
wait_for 10 not running $WRITER
assert_match "$(</run/dev_size)" 'Invalid argument' "the answer to a size that is not whole blocks"

delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
