#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints how this kernel behaves around the unregister of a uio device, and which attributes it has: facts, for
# docs/kernels.md. It fails only where libtcmu relies on one of them.
# vm: smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

fact() { printf 'FACT %s | %s\n' "$1" "$2"; }

# fact_of FILE NAME: what it reads, or that it is not there.
fact_of() {
	if [ -e "$1" ]; then fact "$2" "$(<"$1")"; else fact "$2" "not there"; fi
}

load_tcmu
trace_start
must /host/build/tests/guest-programs/kernel-facts
printf '%s\n' "$OUTPUT"
for relied_on in 'poll after \| 0x[0-9a-f]*.* ERR' 'read after \| EIO' 'write after \| (EINVAL|EIO)' \
	'mailbox after \| readable' 'munmap, close, unregister: released \| yes'; do
	grep -qE "^FACT $relied_on" <<<"$OUTPUT" || fail "this kernel does not do what libtcmu relies on: $relied_on"
done

configure_backstore disk /srv/disk.img $((64 << 20))
for attribute in cmd_ring_size_mb data_pages_per_blk max_data_area_mb tmr_notification nl_reply_supported submit_type complete_type; do
	fact_of "$CORE/$HBA/disk/attrib/$attribute" "attrib/$attribute"
done
if exists "$CORE/$HBA/disk/action/free_kept_buf"; then fact action/free_kept_buf there; else fact action/free_kept_buf "not there"; fi
for fabric in loopback:naa.5001405000000001 iscsi:iqn.2003-01.org.linux-iscsi.guest:facts; do
	module=tcm_loop
	[ "${fabric%%:*}" = loopback ] || module=iscsi_target_mod
	modprobe "$module"
	tpg=$FABRICS/${fabric%%:*}/${fabric#*:}/tpgt_1
	mkdir -p "$tpg"
	fact_of "$tpg/rtpi" "RTPI of ${fabric%%:*}"
	if exists "$tpg/enable"; then
		echo 1 >"$tpg/enable"
		fact_of "$tpg/rtpi" "RTPI of ${fabric%%:*}, enabled"
	fi
	for type in default_submit_type direct_submit_supported default_complete_type direct_complete_supported; do
		fact_of "$FABRICS/${fabric%%:*}/${fabric#*:}/param/$type" "$type of ${fabric%%:*}"
	done
	rmdir "$tpg" "${tpg%/*}"
done
trace_stop
