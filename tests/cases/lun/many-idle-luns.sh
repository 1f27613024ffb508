#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon with 256 idle LUNs uses no CPU time, and at most 64 KiB of memory for each.
# vm: memory=3072
# vm: timeout=400

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

LUNS=256

# all_live: the daemon has opened every device; a condition.
all_live() {
	uio_files_are $LUNS
}

# used_ticks: the daemon's CPU time.
used_ticks() {
	local stat
	stat=$(<"/proc/$DAEMON_PID/stat")
	read -ra stat <<<"${stat##*) }"
	echo $((stat[11] + stat[12]))
}

start_tcmud
mkdir -p /run/luns
truncate -s 1M /run/luns/first
make_backstore_configfs first "/run/luns/first" 1048576
snapshot
before=$RSS_KB
for ((i = 0; i < LUNS - 1; i++)); do
	truncate -s 1M "/run/luns/$i"
	make_backstore_configfs "lun$i" "/run/luns/$i" 1048576
done
wait_for 30 all_live
snapshot
say "each LUN: $(((RSS_KB - before) / (LUNS - 1))) KiB"
assert_le $(((RSS_KB - before) / (LUNS - 1))) 64 "the KiB resident for each LUN"

ticks=$(used_ticks)
holds_within 2 false || :
ticks=$(($(used_ticks) - ticks))
say "CPU time of two idle seconds: $ticks ticks"
assert_le $ticks 1 "the ticks used in two idle seconds"

for ((i = 0; i < LUNS - 1; i++)); do
	delete_backstore_configfs "lun$i"
done
delete_backstore_configfs first
wait_for 30 daemon_has_no_uio
stop_tcmud
