#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two disks of one image, each with the filter cow between two others. Under verified loads the daemon is killed, and stopped
# and started: each overlay keeps every acknowledged byte, the image stays as it was, and a delete leaves nothing.
#
# Environment: KILLS=NUMBER (3).
# vm: timeout=300 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/restart/killed.bash
. "${0%/*}/../restart/killed.bash"

KILLS=${KILLS:-3}
SIZE=$((256 << 20))
image=/srv/golden.img

config_of() { # NAME
	printf '%s\n' "$image;filter=stats+name=above;filter=cow+file=/srv/$1.cow;filter=stats+name=below"
}

# counter_of NAME COUNTER: the number that a filter of the disk has counted since the daemon started
counter_of() {
	must tcmuctl metrics
	awk -v counter="$2" -v device="device=\"$HBA/$1\"" 'index($0, counter) && index($0, device) { print $NF; exit }' <<<"$OUTPUT"
}

# full_pass OPTION...: one write to each block of 16 MiB, or one read that verifies it
full_pass() {
	fio --name=pass --filename="$DISK" --offset=192M --size=16M --rw=randwrite --bs=4k --iodepth=16 --ioengine=libaio --direct=1 \
		--verify=crc32c --verify_fatal=1 "$@"
}

# The image has bytes below the load, where the load does not come, and holes.
truncate -s $SIZE $image
for place in 0 160 200; do
	must dd if=/dev/urandom of=$image bs=1M count=4 seek=$place conv=notrunc status=none
done
chmod 444 $image
image_state() { stat -c '%s %b %Y %Z' $image && sha256sum <$image; }
image_was=$(image_state)

start_tcmud
for disk in first second; do
	make_backstore_configfs $disk "$(config_of $disk)" $SIZE
done
wait_for 5 exists /srv/second.cow
snapshot
attach second
second=$DISK
must cmp "$second" $image
attach first

say "killed $KILLS times under four verified loads and COMPARE AND WRITE"
kill_under_load 60
assert_eq "$value" "$increments" "the counter"

say "killed once, and stopped and started once, while each block of an area is written; then each block is read"
full_pass --do_verify=0 --rate_iops=250 --output=/run/pass.txt >/dev/null 2>&1 &
pass=$!
wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 800))
kill_and_serve
wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 800))
running $pass || fail "the pass has ended before the daemon stopped"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
running $pass || fail "the pass has ended while no daemon ran"
start_tcmud
wait_for 120 not running $pass
status=0
wait $pass || status=$?
assert_eq $status 0 "the exit status of the pass ($(tail -n 3 /run/pass.txt))"
stop_tcmud KILL
start_tcmud
must full_pass --verify_only
assert_le 1 "$(counter_of first above_read_commands)" "1, against the reads that the filter above has seen"
must dd if=/dev/urandom of="$DISK" bs=1M count=1 seek=10 oflag=direct status=none
assert_le 1 "$(counter_of first above_write_commands)" "1, against the writes that the filter above has seen"
assert_eq "$(counter_of first below_write_commands)" 0 "the writes that came through the overlay"

say "the image and the other disk are as they were"
assert_eq "$(image_state)" "$image_was" "the image's state"
must cmp "$second" $image
must cmp <(dd if="$DISK" bs=1M skip=160 count=4 status=none) <(dd if=$image bs=1M skip=160 count=4 status=none)

say "a delete leaves nothing but the overlay, and a new disk over that has the same bytes"
contents=$(sha256sum <"$DISK")
detach first
detach second
trace_start
for disk in first second; do delete_backstore_configfs $disk; done
assert_released 2 1000
daemon_has_no_uio || fail "the daemon still holds a uio device"
closed() { [ -z "$(find "/proc/$DAEMON_PID/fd" -lname '/srv/*')" ]; }
wait_for 5 closed
for disk in first second; do
	nothing_left $disk || fail "the backstore $disk left something"
done
assert_eq "$(ls /srv)" $'first.cow\ngolden.img\nsecond.cow' "the files"
make_backstore_configfs first "$(config_of first)" $SIZE
attach first
assert_eq "$(sha256sum <"$DISK")" "$contents" "the checksum of the disk after it was deleted and made again"
detach first
delete_backstore_configfs first
assert_eq "$(image_state)" "$image_was" "the image's state"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
