# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# The daemon is killed KILLS times under load: fio with queue depths from 1 to 128, which verifies, and COMPARE AND WRITE.
# Source it after lib.sh.

storm=/host/build/tests/guest-programs/compare-and-write-storm
counter=$((255 << 11)) # the block with the number, behind the areas of the load
probe=$((254 << 8))    # a block of 4 KiB that is only read

read_probe() {
	must dd if="$DISK" of=/dev/null bs=4k count=1 skip=$probe iflag=direct
}
# One kill: a new daemon starts at once, as systemd would start it. MS: from the kill until a new command is answered.
kill_and_serve() {
	kill -KILL "$DAEMON_PID"
	wait "$DAEMON_PID" 2>/dev/null || :
	launch_tcmud
	read_probe
}

# count_finished LOG: the kills that have met a COMPARE AND WRITE between its write and its answer
finished=0
count_finished() {
	if [ -e "$1" ] && grep -q 'COMPARE AND WRITEs that were carried out before' "$1"; then finished=$((finished + 1)); fi
}

# percentile PERCENT
percentile() { sort -n /run/served | sed -n "$((($(wc -l </run/served) * $1 + 99) / 100))p"; }

# kill_under_load SECONDS: kills the daemon that serves DISK, of 256 MiB. SECONDS: how long a write may take while all is
# well. increments is the count of answers to COMPARE AND WRITE, value the number on the disk.
kill_under_load() {
	local depth offset=0 jobs=() load storm_pid status round log
	for depth in 1 4 32 128; do
		jobs+=(--name="qd$depth" --iodepth="$depth" --offset="${offset}M" --size=32M)
		offset=$((offset + 32))
	done
	fio --filename="$DISK" --rw=randwrite --bs=4k --ioengine=libaio --direct=1 --time_based --runtime=36000 --rate_iops=100 \
		--verify=crc32c --verify_fatal=1 --verify_backlog=64 --group_reporting --thread --output=/run/fio.txt "${jobs[@]}" >/dev/null 2>&1 &
	load=$!
	"$storm" "$DISK" $counter 100000000 >/run/storm.txt 2>&1 &
	storm_pid=$!

	: >/run/served
	for ((round = 1; round <= KILLS; round++)); do
		wait_for "$1" wrote "$DISK" $(($(writes_of "$DISK") + 20 + RANDOM % 100))
		running $load || fail "the load has ended (kill $round): $(tail -n 20 /run/fio.txt)"
		running $storm_pid || fail "COMPARE AND WRITE has ended (kill $round): $(</run/storm.txt)"
		milliseconds kill_and_serve
		echo "$MS" >>/run/served
		[ $((round % 50)) -ne 0 ] || say "$round kills"
		count_finished "/run/tcmud-$((daemon_starts - 2)).log"
		rm -f "/run/tcmud-$((daemon_starts - 2)).log"
	done
	wait_for "$1" wrote "$DISK" $(($(writes_of "$DISK") + 200))

	kill -TERM $storm_pid
	status=0
	wait $storm_pid || status=$?
	assert_eq "$status" 0 "the status of COMPARE AND WRITE ($(</run/storm.txt))"
	kill -INT $load
	status=0
	wait $load || status=$?
	OUTPUT=$(head -n 20 /run/fio.txt)
	if [ $status -ne 128 ] && [ $status -ne 0 ] || ! grep -q 'err= 0' /run/fio.txt; then fail "the load ended with status $status"; fi
	say "fio: $(grep -E '^ +write:' /run/fio.txt)"
	if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|Sense Key|timing out command'); then fail "the initiator saw an error"; fi

	say "COMPARE AND WRITE: $(</run/storm.txt)"
	read -r increments _ </run/storm.txt
	must dd if="$DISK" of=/run/counter bs=512 count=1 skip=$counter iflag=direct
	must od -An -td8 -N 8 /run/counter
	value=$((OUTPUT))
	for log in /run/tcmud-*.log; do count_finished "$log"; done
}
