#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A backstore with the longest name that the kernel takes: it is served, and what is known of it outlives a restart.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

write_cache() {
	sg_turs "$DISK" >/dev/null 2>&1 || : # takes the unit attention
	must sg_modes --page=8 --control=0 "$DISK"
	assert_match "$OUTPUT" "[08]8 12 0$1 00" "the caching mode page"
}

printf -v name 'n%.0s' {1..255}
start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs "$name" /srv/disk.img $((64 << 20))
must_fail mkdir "$CORE/$HBA/${name}n"
attach "$name"
verified_writes "$DISK" 1M
write_cache 4
echo 0 >"$CORE/$HBA/$name/attrib/emulate_write_cache"
write_cache 0
must tcmuctl status "$name"
stop_tcmud
start_tcmud
is_live() { [[ $(tcmuctl list) == *" LIVE "* ]]; }
wait_for 20 is_live
write_cache 0
verified_writes "$DISK" 1M
if grep -h 'cannot' /run/tcmud-*.log; then fail "something of this backstore could not be done"; fi
detach "$name"
delete_backstore_configfs "$name"
nothing_left "$name" || fail "the backstore left something"
stop_tcmud
