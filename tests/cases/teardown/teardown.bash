# SPDX-License-Identifier: Apache-2.0
#
# Shared by the tests of teardown, on top of lib.sh. A test measures with the kernel's own clock and prints each result by
# `figure`; tests/vm/teardown-table collects these into a table like the one of docs/teardown.md.
# shellcheck shell=bash

# shellcheck source=tests/cases/lib.sh
. "${BASH_SOURCE[0]%/*}/../lib.sh"

# At the end of each test: the daemon's main loop must never have been delayed. The daemon logs delays above 50 ms. A busy host
# may pause a guest for tenths of a second, but not one whose clock counts instructions.
check_main_loop() {
	local status=$? limit=1000 stall
	[ "$VM_ACCEL" != icount ] || limit=200
	stall=$(sed -nE 's/.* the event loop was blocked for ([0-9]+) ms$/\1/p' /run/tcmud-*.log | sort -n | tail -n 1)
	[ -z "$stall" ] || say "the event loop was blocked for $stall ms"
	if [ $status -eq 0 ] && [ "${stall:-0}" -gt $limit ]; then
		say "FAILED: the limit is $limit ms"
		status=1
	fi
	exit $status
}
trap check_main_loop EXIT

# figure WHAT MILLISECONDS LIMIT: prints one measured time; fails the test when it is over the limit.
figure() {
	say "FIGURE $1 | $2 | $3"
	assert_le "$2" "$3" "$1 (ms)"
}

# holds_for SECONDS COMMAND...: the condition COMMAND holds all that time.
holds_for() {
	local end=$((SECONDS + $1))
	shift
	while [ $SECONDS -lt $end ]; do
		"$@" || fail "no longer holds: $*"
		read -rt 0.5 -u "$NEVER_READABLE" || :
	done
}

# in_background COMMAND...: runs it. BACKGROUND is its pid; the file BACKGROUND_MS gets its milliseconds.
in_background() {
	BACKGROUND_MS=$(mktemp)
	{
		milliseconds "$@"
		echo "$MS" >"$BACKGROUND_MS"
	} &
	# shellcheck disable=SC2034 # for the test
	BACKGROUND=$!
}

# waits_in_kernel PID: the process or a child of it sleeps uninterruptibly; a condition.
waits_in_kernel() {
	local pid
	for pid in "$1" $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		if grep -q '^State:.D' "/proc/$pid/status" 2>/dev/null; then return 0; fi
	done
	return 1
}

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

# fill_file FILE HEX BYTES: writes so many bytes of the value HEX.
fill_file() {
	must python3 -ISE -c '
import sys
with open(sys.argv[1], "wb") as file:
    for _ in range(int(sys.argv[3]) >> 20):
        file.write(bytes([int(sys.argv[2], 16)]) * (1 << 20))' "$@"
}

# make_suspendable_disk BYTES: /dev/mapper/stuck over the scratch disk. While it is suspended, all its I/O waits.
make_suspendable_disk() {
	modprobe dm_mod
	export DM_DISABLE_UDEV=1 # only dmsetup makes nodes here
	find_scratch_disk
	must dmsetup create stuck --table "0 $(($1 / 512)) linear $SCRATCH 0"
	wait_for 5 exists /dev/mapper/stuck
}

# trace_mark TEXT: a note in the kernel's trace. released_after TEXT: MS is the milliseconds from that note to the next
# tcmu_dev_kref_release, or the next uio_release where the kernel keeps closed devices.
trace_mark() { echo "$1" >$TRACING/trace_marker; }
released_after() {
	local event=kref_release
	if kernel_keeps_closed_devices; then event=uio_release; fi
	MS=$(awk -v note="$1" -v event=" $event: " '
		match($0, /[0-9]+\.[0-9]+: /) { time = substr($0, RSTART, RLENGTH - 2) }
		/tracing_mark_write/ && index($0, note) { noted = time }
		index($0, event) && noted && !found { found = time; printf "%.1f", (found - noted) * 1000 }' $TRACING/trace)
	[ -n "$MS" ] || fail "nothing was released after '$1'"
}
