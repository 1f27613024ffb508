#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A LUN is as fast as its config string allows, and the limits are changed while it is used.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# reads_of SECONDS: how many 4 KiB reads the disk takes in that time.
reads_of() {
	fio --name=reads --filename="$DISK" --rw=randread --bs=4k --iodepth=8 --ioengine=libaio --direct=1 --time_based \
		--runtime="$1" --minimal | cut -d';' -f8
}

# limits TEXT: writes the config string with these.
limits() {
	say "limits: $1"
	echo -n "file//run/disk.img$1" >"$(backstore_dir disk)/attrib/dev_config"
}

truncate -s 64M /run/disk.img
start_tcmud
make_backstore_configfs disk "/run/disk.img;iops=50" 67108864
attach disk
slow=$(reads_of 4)
say "with iops=50: $slow reads/s"
assert_le "$slow" 60 "the reads a second with iops=50"

limits ""
fast=$(reads_of 2)
say "without: $fast reads/s"
assert_le 70 "$fast" "the limit of before"

limits ";bps=160K"
slow=$(reads_of 4)
say "with bps=160K: $slow reads/s"
assert_le "$slow" 50 "the reads a second with bps=160K"

# Nothing else is changed so, and what is refused stays as it was.
must_fail limits ";direct=1"
must_fail limits ";iops=fast"
assert_eq "$(<"$(backstore_dir disk)/attrib/dev_config")" "file//run/disk.img;bps=160K" "the config string"

limits ""
detach disk
delete_backstore_configfs disk
stop_tcmud
