#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The config string limits the rate of a LUN, and the limits can be changed while it is used.
# vm: smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# read_rate SECONDS: the rate of 4 KiB reads in that time.
read_rate() {
	fio --name=reads --filename="$DISK" --rw=randread --bs=4k --iodepth=8 --ioengine=libaio --direct=1 --time_based \
		--runtime="$1" --minimal | cut -d';' -f8
}

# set_limits OPTIONS: writes the config string with these options.
set_limits() {
	say "limits: $1"
	echo -n "file//run/disk.img$1" >"$(backstore_dir disk)/attrib/dev_config"
}

truncate -s 64M /run/disk.img
start_tcmud
make_backstore_configfs disk "/run/disk.img;iops=50" 67108864
attach disk
slow=$(read_rate 4)
say "with iops=50: $slow reads/s"
assert_le "$slow" 60 "the reads a second with iops=50"

set_limits ""
fast=$(read_rate 2)
say "without: $fast reads/s"
assert_le 70 "$fast" "the old limit"

set_limits ";bps=160K"
slow=$(read_rate 4)
say "with bps=160K: $slow reads/s"
assert_le "$slow" 50 "the reads a second with bps=160K"

# Other options cannot be changed so, and a refused config string changes nothing.
must_fail set_limits ";direct=1"
must_fail set_limits ";iops=fast"
assert_eq "$(<"$(backstore_dir disk)/attrib/dev_config")" "file//run/disk.img;bps=160K" "the config string"

set_limits ""
detach disk
delete_backstore_configfs disk
stop_tcmud
