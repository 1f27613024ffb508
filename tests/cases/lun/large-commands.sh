#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where a LUN's commands are large and the pieces of its data area small, the log says once that larger pieces would help.
# vm: timeout=400 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

SIZE=$((16 << 20))

# read_large NAME: more commands than the daemon needs to know their size.
read_large() {
	attach "$1"
	must fio --name=large --filename="$DISK" --rw=randread --bs=160k --iodepth=8 --ioengine=libaio --direct=1 --norandommap \
		--size=$SIZE --io_size=$((10100 * 160))k
	detach "$1"
}

advice_for() {
	grep -cE "user_100/$1: its commands move 1[0-9]{2} KiB on average: created with data_pages_per_blk=16" "$DAEMON_LOG" || :
}
advised() { [ "$(advice_for "$1")" -gt 0 ]; }

truncate -s $SIZE /run/small /run/large
start_tcmud
make_backstore_configfs small /run/small $SIZE
if ! exists "$CORE/$HBA/small/attrib/data_pages_per_blk"; then # before Linux 5.15
	say "the kernel has pieces of one page only"
	read_large small
	must_fail holds_within 11 advised small
	exit
fi
make_backstore_configfs large /run/large $SIZE data_pages_per_blk=16
read_large large
read_large small
wait_for 11 advised small
assert_eq "$(advice_for small)" 1 "the lines of advice for the LUN with pieces of one page"
assert_eq "$(advice_for large)" 0 "the lines of advice for the LUN with pieces of 16 pages"
