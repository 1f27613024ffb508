#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test of libiscsi's iscsi-test-cu passes on a LUN behind the kernel's iSCSI target, except those that
# iscsi-test-cu.expected names with a reason. A test that prints [SKIPPED] counts as skipped, whatever the program counts.
#
# The image is on a disk that writes 32 MiB a second, so that the tests see SANITIZE in progress. The 50,000 commands follow
# one another, and each passes through many threads: one CPU is faster than two.
# vm: timeout=600 smp=1
# vm: disk=600M disk_block=4096

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

EXPECTED=${0%.sh}.expected
RESULTS=/run/iscsi-test-cu

# slow_disk BYTES: limits what the daemon writes to the scratch disk in a second.
slow_disk() {
	scratch_disk ext4
	echo +io >/sys/fs/cgroup/cgroup.subtree_control
	mkdir /sys/fs/cgroup/slow
	echo "$DAEMON_PID" >/sys/fs/cgroup/slow/cgroup.procs
	echo "$(<"/sys/block/${SCRATCH##*/}/dev") wbps=$1" >/sys/fs/cgroup/slow/io.max
}

# run_suite TESTS BACKSTORE ADDRESS...: runs the tests; RESULTS gets a line for each.
run_suite() {
	local iqn=iqn.2003-01.org.linux-iscsi.guest:$2 log=$RESULTS.log
	local -a paths=("${@:3}")
	say "iscsi-test-cu: $1 on $2"
	LD_PRELOAD=/host/build/tests/guest-programs/libsessions-end.so PORT=0CBC \
		SESSIONS=/sys/kernel/config/target/iscsi/$iqn/fabric_statistics/iscsi_instance/sessions \
		stdbuf -oL iscsi-test-cu --dataloss --allow-sanitize --Verbose-scsi -t "$1" \
		"${paths[@]/%//$iqn/0}" >"$log" 2>&1 || :
	python3 -ISE $CASES/iscsi-test-results.py <"$log" >$RESULTS
	[ -s $RESULTS ] || fail "no result: $(tail -n 5 "$log")"
}

count_results() { grep -c "^$1 " $RESULTS || :; }

# not_passed FILE: the skipped and failed tests in it.
not_passed() { sed -n 's/^\(skip\|fail\) \([^ ]*\).*/\1 \2/p' "$1" | sort; }

# output_of SUITE.TEST: the end of its output.
output_of() {
	awk -v suite="${1%.*}" -v test="${1#*.}" '
		/^Suite: / { now = $2 }
		/^ *Test: / { shown = now == suite && $2 == test }
		shown' $RESULTS*.log | tail -n 20
}

# Prints the unexpected results with their output.
explain_differences() {
	local outcome name
	while read -r _ outcome name; do
		say "unexpected: $outcome $name"
		output_of "$name"
	done < <(grep '^> ' <<<"$1")
}

# expect_outcome OUTCOME SUITE.TEST BACKSTORE: runs one test.
expect_outcome() {
	run_suite "ALL.$2" "$3" iscsi://127.0.0.1
	grep -qx "$1 $2" $RESULTS || fail "$2 on $3: $(<$RESULTS) $(output_of "$2")"
}

start_tcmud
slow_disk $((32 << 20))
make_backstore disk "/scratch/disk.img;direct=1;sanitize=1" 256M
iscsi_target disk
# With a second path, other tests use it, too, and some leave a reservation on it. So the multipath tests run separately.
run_suite ALL.MultipathIO disk iscsi://127.0.0.1 iscsi://127.0.0.2
mv $RESULTS.log $RESULTS.multipath.log
mv $RESULTS $RESULTS.multipath
run_suite ALL disk iscsi://127.0.0.1
grep -v ' MultipathIO\.' $RESULTS >>$RESULTS.multipath
mv $RESULTS.multipath $RESULTS
say "$(wc -l <$RESULTS) tests: $(count_results pass) pass, $(count_results skip) skip, $(count_results fail) fail"
assert_eq "$(wc -l <$RESULTS)" 230 "the number of tests"
if ! differences=$(diff <(not_passed "$EXPECTED") <(not_passed $RESULTS)); then
	printf '%s\n' "--- expected (<) and found (>):" "$differences"
	explain_differences "$differences"
	fail "the results differ from $(basename "$EXPECTED")"
fi

# The test needs ImmediateData=No. libiscsi loses this setting when it reconnects, as in this test.
tcli "/iscsi/$IQN/tpg1" set parameter ImmediateData=No
expect_outcome pass iSCSIdatasn.iSCSIDataSnInvalid disk
# The test expects the standard's behaviour only if a physical block is one logical block.
truncate -s 64M /scratch/large-blocks.img
make_backstore large-blocks /scratch/large-blocks.img 64M control=hw_block_size=4096
iscsi_target large-blocks
expect_outcome pass GetLBAStatus.UnmapSingle large-blocks
# All writing commands are refused; the test skips UNMAP, which is not supported here.
truncate -s 16M /scratch/read-only.img
make_backstore read-only "/scratch/read-only.img;ro=1" 16M
iscsi_target read-only
expect_outcome skip ReadOnly.ReadOnlySBC read-only

stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
