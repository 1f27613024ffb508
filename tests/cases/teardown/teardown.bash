# SPDX-License-Identifier: Apache-2.0
#
# What the rows of the teardown matrix share, on top of lib.sh. Each row measures with the kernel's own clock and prints
# its figures by `row`, which `tests/vm/matrix` collects into the table of docs/teardown.md.
# shellcheck shell=bash

# shellcheck source=tests/cases/lib.sh
. "${BASH_SOURCE[0]%/*}/../lib.sh"

# When a row ends: whatever else happened, the daemon's main loop was there for everybody. It says what is above 50 ms;
# here a virtual processor may itself stand still for longer than that.
main_loop_was_free() {
	local status=$? stall
	stall=$(sed -nE 's/.* the main loop was held up for ([0-9]+) ms$/\1/p' /run/tcmud-*.log | sort -n | tail -n 1)
	[ -z "$stall" ] || say "the main loop was held up for $stall ms"
	if [ $status -eq 0 ] && [ "${stall:-0}" -gt 200 ]; then
		say "FAILED: that is more than 200"
		status=1
	fi
	exit $status
}
trap main_loop_was_free EXIT

# row NUMBER WHAT MILLISECONDS LIMIT: one figure of a row; fails the test when it is over the limit.
row() {
	say "ROW $1 | $2 | $3 | $4"
	assert_le "$3" "$4" "row $1: $2, milliseconds"
}

# stays SECONDS COMMAND...: COMMAND holds all that time.
stays() {
	local end=$((SECONDS + $1))
	shift
	while [ $SECONDS -lt $end ]; do
		"$@" || fail "did not stay so: $*"
		read -rt 0.5 -u "$NEVER_READABLE" || :
	done
}

# in_background COMMAND...: runs it, BACKGROUND is its pid and BACKGROUND_MS the file that its milliseconds go to.
in_background() {
	BACKGROUND_MS=$(mktemp)
	{
		milliseconds "$@"
		echo "$MS" >"$BACKGROUND_MS"
	} &
	# shellcheck disable=SC2034 # for the test
	BACKGROUND=$!
}

# waits_in_kernel PID: it, or a child of it, sleeps uninterruptibly; a condition.
waits_in_kernel() {
	local pid
	for pid in "$1" $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		if grep -q '^State:.D' "/proc/$pid/status" 2>/dev/null; then return 0; fi
	done
	return 1
}

# gone PID: it has ended; a condition.
gone() { ! running "$1"; }

# only_blocks_of FILE OFFSET LENGTH OLD NEW: each 512 bytes of the range are all OLD or all NEW (two hexadecimal digits).
only_blocks_of() {
	must python3 -ISE -c '
import sys
path, offset, length, old, new = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4], 16), int(sys.argv[5], 16)
count = {old: 0, new: 0}
with open(path, "rb") as file:
    file.seek(offset)
    for block in range(length // 512):
        data = file.read(512)
        if data not in (bytes([old]) * 512, bytes([new]) * 512):
            sys.exit("block %d holds neither the old nor the new bytes: %s" % (block, data[:16].hex()))
        count[data[0]] += 1
print("%d old and %d new blocks" % (count[old], count[new]))' "$@"
	say "$OUTPUT"
}

# fill FILE HEX BYTES: with one byte.
fill() {
	must python3 -ISE -c '
import sys
with open(sys.argv[1], "wb") as file:
    for _ in range(int(sys.argv[3]) >> 20):
        file.write(bytes([int(sys.argv[2], 16)]) * (1 << 20))' "$@"
}

# device_mapper BYTES: /dev/mapper/stuck over the scratch disk, which can be suspended: then all its I/O waits.
device_mapper() {
	local serial
	modprobe dm_mod
	export DM_DISABLE_UDEV=1 # nobody but dmsetup makes nodes here
	for serial in /sys/block/vd*/serial; do
		[[ $(<"$serial") == scratch ]] || continue
		must dmsetup create stuck --table "0 $(($1 / 512)) linear /dev/$(basename "${serial%/serial}") 0"
		wait_for 5 exists /dev/mapper/stuck
		return
	done
	fail "no scratch disk: the test needs '# vm: disk=SIZE'"
}

# mark TEXT: a note in the kernel's trace. released_after TEXT: MS is the milliseconds from that note to the next
# tcmu_dev_kref_release.
mark() { echo "$1" >$TRACING/trace_marker; }
released_after() {
	MS=$(awk -v note="$1" '
		match($0, /[0-9]+\.[0-9]+: /) { time = substr($0, RSTART, RLENGTH - 2) }
		/tracing_mark_write/ && index($0, note) { noted = time }
		/ kref_release: / && noted && !found { found = time; printf "%.1f", (found - noted) * 1000 }' $TRACING/trace)
	[ -n "$MS" ] || fail "nothing was released after '$1'"
}

# timed_delete NAME: deletes the backstore; MS is how long rmdir() took, without what it takes to start a program.
timed_delete() {
	must python3 -ISE -c '
import os, sys, time
start = time.monotonic()
os.rmdir(sys.argv[1])
print(round((time.monotonic() - start) * 1000))' "$CORE/$HBA/$1"
	MS=$OUTPUT
}
