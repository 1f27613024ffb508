#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An initiator sends random commands with random data to its LUN, beside a verified load on another LUN of the same daemon.
# Every command is answered, nothing changes on the other LUN, the daemon neither ends nor keeps a descriptor, a thread or
# memory, and the kernel has nothing to complain about.
#
# Environment: HOSTILE_COMMANDS, 20000; HOSTILE_SEED, 1.
# vm: timeout=1200 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

commands=${HOSTILE_COMMANDS:-20000}
hostile=/host/build/tests/guest-programs/hostile-initiator

# load_of DISK FILE: writes and verifies until it is stopped; ends by itself if a block is not as it was written.
load_of() {
	exec fio --name=load --filename="$1" --size=16M --rw=randwrite --bs=4k --iodepth=8 --ioengine=libaio --direct=1 \
		--verify=crc32c --verify_backlog=64 --verify_fatal=1 --time_based --runtime=100000 --minimal >"$2" 2>&1
}

# anonymous_kb: the daemon's own memory, without the pages of the rings.
anonymous_kb() {
	awk '$1 == "RssAnon:" { print $2 }' "/proc/$DAEMON_PID/status"
}

# complaints: lines of the kernel's log that no initiator may cause.
complaints() {
	dmesg | grep -E 'BUG|WARNING:|Oops|Call Trace|blocked for more|broken|tcm_loop.*(TMR|RESET)|detected.*tcmu|page allocation' || :
}

start_tcmud
make_backstore_configfs neighbour /run/neighbour.img $((32 << 20))
make_backstore_configfs target /run/target.img $((8 << 20))
attach neighbour
neighbour=$DISK
attach target
target=$DISK
dd if=/dev/urandom of="$neighbour" bs=1M seek=16 count=16 oflag=direct status=none
before=$(dd if="$neighbour" bs=1M skip=16 iflag=direct status=none | sha256sum)
must "$hostile" storm "$target" 2000 7 # what the daemon allocates once
load_of "$neighbour" /run/load.txt &
load=$!
wait_for 20 running $load
snapshot
fds_before=$FDS threads_before=$THREADS memory_before=$(anonymous_kb)
log_mark

start=${EPOCHREALTIME/[.,]/}
must "$hostile" storm "$target" "$commands" "${HOSTILE_SEED:-1}"
seconds=$(((${EPOCHREALTIME/[.,]/} - start) / 1000000 + 1))
say "$OUTPUT"
say "in $seconds s"

running $load || fail "the load has ended: $(</run/load.txt)"
kill -INT $load
wait $load || :
say "the load: $(cut -d';' -f5,48 </run/load.txt) (errors, writes a second)"
[[ $(</run/load.txt) != *"verify:"* ]] || fail "a block is not as it was written: $(</run/load.txt)"
assert_eq "$(dd if="$neighbour" bs=1M skip=16 iflag=direct status=none | sha256sum)" "$before" "the rest of the neighbour"

snapshot
assert_le "$FDS" "$fds_before" "the descriptors"
assert_le "$THREADS" $((threads_before + 2)) "the threads" # workers and jobs end after a while
memory=$(anonymous_kb)
say "its own memory: $memory_before KiB, then $memory KiB"
assert_le "$memory" $((memory_before + 8192)) "its own memory in KiB"
lines=$(log_since_mark | wc -l)
say "the daemon logged $lines lines"
assert_le "$lines" $((100 + seconds)) "the lines that the daemon logged"
assert_eq "$(complaints)" "" "the kernel's complaints"
running "$DAEMON_PID" || fail "the daemon has ended"

detach target
detach neighbour
delete_backstore_configfs target
delete_backstore_configfs neighbour
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
