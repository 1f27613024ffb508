#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every test of libiscsi's iscsi-test-cu passes on a LUN behind the kernel's iSCSI target, but for those that
# iscsi-test-cu.expected names, each with its reason. A test that says [SKIPPED] is a skip, whatever the program counts.
#
# SANITIZE has to be seen at work: the image lies on a disk that writes 32 MiB a second. One command follows another, 50,000 of
# them, each through many hands: where nothing goes on beside, one processor is quicker than two.
# vm: timeout=600 smp=1
# vm: disk=600M disk_block=4096

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

EXPECTED=${0%.sh}.expected
RESULTS=/run/iscsi-test-cu

# slow_disk BYTES: what the daemon writes to the scratch disk in a second.
slow_disk() {
	scratch_disk ext4
	echo +io >/sys/fs/cgroup/cgroup.subtree_control
	mkdir /sys/fs/cgroup/slow
	echo "$DAEMON_PID" >/sys/fs/cgroup/slow/cgroup.procs
	echo "$(<"/sys/block/${SCRATCH##*/}/dev") wbps=$1" >/sys/fs/cgroup/slow/io.max
}

# conformance TESTS BACKSTORE ADDRESS...: its results, a line each, in RESULTS.
conformance() {
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

count() { grep -c "^$1 " $RESULTS || :; }

# not_passed FILE: what skips and fails in it.
not_passed() { sed -n 's/^\(skip\|fail\) \([^ ]*\).*/\1 \2/p' "$1" | sort; }

# said_by SUITE.TEST: the end of what it said.
said_by() {
	awk -v suite="${1%.*}" -v test="${1#*.}" '
		/^Suite: / { now = $2 }
		/^ *Test: / { shown = now == suite && $2 == test }
		shown' $RESULTS*.log | tail -n 20
}

# What a person wants to see of a difference.
explain_differences() {
	local outcome name
	while read -r _ outcome name; do
		say "$outcome $name, which is not expected:"
		said_by "$name"
	done < <(grep '^> ' <<<"$1")
}

# alone OUTCOME SUITE.TEST BACKSTORE
alone() {
	conformance "ALL.$2" "$3" iscsi://127.0.0.1
	grep -qx "$1 $2" $RESULTS || fail "$2 on $3: $(<$RESULTS) $(said_by "$2")"
}

start_tcmud
slow_disk $((32 << 20))
make_backstore disk "/scratch/disk.img;direct=1" 256M
iscsi_target disk
# Given a second path, others than the multipath tests use it as well, and some leave what they have reserved through it.
conformance ALL.MultipathIO disk iscsi://127.0.0.1 iscsi://127.0.0.2
mv $RESULTS.log $RESULTS.multipath.log
mv $RESULTS $RESULTS.multipath
conformance ALL disk iscsi://127.0.0.1
grep -v ' MultipathIO\.' $RESULTS >>$RESULTS.multipath
mv $RESULTS.multipath $RESULTS
say "$(wc -l <$RESULTS) tests: $(count pass) pass, $(count skip) skip, $(count fail) fail"
assert_eq "$(wc -l <$RESULTS)" 230 "the number of tests"
if ! differences=$(diff <(not_passed "$EXPECTED") <(not_passed $RESULTS)); then
	printf '%s\n' "--- expected (<) and found (>):" "$differences"
	explain_differences "$differences"
	fail "not the tests that $(basename "$EXPECTED") names"
fi

# The test wants no immediate data, which libiscsi forgets when it connects anew, as the test makes it do.
tcli "/iscsi/$IQN/tpg1" set parameter ImmediateData=No
alone pass iSCSIdatasn.iSCSIDataSnInvalid disk
# Where a physical block is one logical block, the test expects what the standard says.
truncate -s 64M /scratch/large-blocks.img
make_backstore large-blocks /scratch/large-blocks.img 64M control=hw_block_size=4096
iscsi_target large-blocks
alone pass GetLBAStatus.UnmapSingle large-blocks
# Whatever would write is refused; only UNMAP, which is not there, is skipped.
truncate -s 16M /scratch/read-only.img
make_backstore read-only "/scratch/read-only.img;ro=1" 16M
iscsi_target read-only
alone skip ReadOnly.ReadOnlySBC read-only

stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
