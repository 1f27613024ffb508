#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test of libiscsi's iscsi-test-cu passes on a LUN behind the kernel's iSCSI target, except those that
# iscsi-test-cu.expected names with a reason. A test that prints [SKIPPED] counts as skipped, whatever the program counts.
#
# The image is on a disk that writes 32 MiB a second, so that the tests see SANITIZE in progress. The 50,000 commands follow
# one another, and each passes through many threads: one CPU is faster than two.
#
# Environment: STORE=file (a raw image), or qcow2: an image behind qemu-nbd and the handler nbd, which takes longer
# (--timeout 1800).
# vm: timeout=600 smp=1
# vm: disk=600M disk_block=4096

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

EXPECTED=${0%.sh}.expected
RESULTS=/run/iscsi-test-cu

STORE=${STORE:-file}

# slow_disk PID BYTES: limits what the process writes to the scratch disk in a second.
slow_disk() {
	echo +io >/sys/fs/cgroup/cgroup.subtree_control
	mkdir /sys/fs/cgroup/slow
	echo "$1" >/sys/fs/cgroup/slow/cgroup.procs
	echo "$(<"/sys/block/${SCRATCH##*/}/dev") wbps=$2" >/sys/fs/cgroup/slow/io.max
}

# make_disk: the backstore "disk" of 256 MiB
make_disk() {
	case $STORE in
	file)
		slow_disk "$DAEMON_PID" $((32 << 20))
		make_backstore disk "/scratch/disk.img;direct=1;sanitize=1" 256M
		;;
	qcow2)
		must qemu-img create -q -f qcow2 /scratch/disk.qcow2 256M
		must qemu-nbd --fork --pid-file=/run/nbd.pid --persistent --shared=8 --format=qcow2 --discard=unmap --cache=none \
			--socket=/run/disk.sock /scratch/disk.qcow2
		slow_disk "$(</run/nbd.pid)" $((32 << 20))
		SUBTYPE=nbd
		make_backstore disk "/run/disk.sock;sanitize=1" 256M
		;;
	esac
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

# not_passed: the skipped and failed tests among those on the input.
not_passed() { sed -n 's/^\(skip\|fail\) \([^ ]*\).*/\1 \2/p' | sort; }

# expected: the tests that do not pass. NBD has no atomic writes, so WRITE ATOMIC is not supported there.
expected() {
	case $STORE in
	file) cat "$EXPECTED" ;;
	qcow2)
		grep -v ' WriteAtomic16\.' "$EXPECTED"
		printf 'skip WriteAtomic16.%s\n' BeyondEol DpoFua Simple VPD WriteProtect ZeroBlocks
		;;
	esac
}

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
scratch_disk ext4
make_disk
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
if ! differences=$(diff <(expected | not_passed) <(not_passed <$RESULTS)); then
	printf '%s\n' "--- expected (<) and found (>):" "$differences"
	explain_differences "$differences"
	fail "the results differ from $(basename "$EXPECTED")"
fi

# The test needs ImmediateData=No. libiscsi loses this setting when it reconnects, as in this test.
tcli "/iscsi/$IQN/tpg1" set parameter ImmediateData=No
expect_outcome pass iSCSIdatasn.iSCSIDataSnInvalid disk
SUBTYPE='file'
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
