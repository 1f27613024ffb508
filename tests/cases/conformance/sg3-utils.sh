#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What sg3-utils shows of a loopback disk, and what its commands do to it: every VPD page, mode pages, provisioning, compare
# and write, verify, reservations, format, sanitize and resets.
# vm: timeout=300 smp=1
# vm: plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

NOT_READY=2 ILLEGAL=5 ATTENTION=6 MISCOMPARE=14 MEDIUM_AT=18 OUT_OF_RANGE=22 # exit statuses of sg3-utils
BLOCKS=131072

# sees STATUS COMMAND...: how it ends on the disk; OUTPUT is what it printed.
sees() {
	local status=0
	OUTPUT=$("${@:2}" "$DISK" 2>&1) || status=$?
	assert_eq "$status" "$1" "the status of ${*:2}"
}

# shows PATTERN...: each is in OUTPUT.
shows() {
	local pattern
	for pattern; do assert_match "$OUTPUT" "$pattern" "what was printed"; done
}

filled() { head -c "$2" /dev/zero | tr '\0' "$1"; } # CHARACTER BYTES

# holds CHARACTER LBA BLOCKS: what is stored there.
holds() {
	cmp -s <(dd if="$DISK" iflag=direct bs=512 skip="$2" count="$3" status=none) <(filled "$1" $(($3 * 512))) ||
		fail "blocks $2 to $(($2 + $3 - 1)) are not all '$1'"
}

ready() { sg_turs "$DISK" >/dev/null 2>&1; }

start_tcmud
make_backstore_configfs disk /srv/disk.img $((BLOCKS * 512))
echo 0123456789abcdef >"$CORE/$HBA/disk/wwn/vpd_unit_serial"
attach disk
filled a 512 >/run/a
filled a 8192 >/run/a16
filled '\0' 512 >/run/zero
{ filled a 8192 && filled b 8192; } >/run/a16b16

say "INQUIRY"
sees 0 sg_inq -d
shows 'PDT=0 .*RMB=0 .*\[SPC-4\]' 'Resp_data_format=2' 'CmdQue=1' 'Vendor identification: LIO-ORG' \
	'Product identification: TCMU device' 'Unit serial number: 0123456789abcdef' 'SAM-5' 'SPC-4' 'SBC-3'
for page in sv sn ei mpp bl bdc lbpv; do
	sees 0 sg_vpd -p $page
done
sees 0 sg_vpd -a
shows 'Unit serial number: 0123456789abcdef' 'vendor id: LIO-ORG' '0x60014050123456789abcdef000000000' 'SIMPSUP=1' \
	'Policy: shared' 'Write same non-zero \(WSNZ\): 1' 'compare and write length: 255 blocks' 'transfer length: 8192 blocks' \
	'unmap LBA count: 1048576' 'unmap block descriptor count: 32' 'unmap granularity: 8 blocks' \
	'write same length: 0x20000 blocks' 'WABEREQ=1' 'FUAB=1' '\(LBPU\): 1' '\(LBPWS\): 1' '\(LBPWS10\): 1' '\(LBPRZ\): 1' \
	'Provisioning type: 2'
must_fail sg_vpd -p 0xc0 "$DISK"

say "capacity, mode pages, log pages"
sees 0 sg_readcap
shows "Number of logical blocks=$BLOCKS" 'block length=512 bytes'
sees 0 sg_readcap -l
shows 'prot_en=0' 'lbpme=1, lbprz=1' 'exponent=3'
sees 0 sg_modes -a
shows 'WP=0, DpoFua=1' 'Read-Write error recovery' 'Caching' 'Control' 'Informational exceptions'
sees 0 sg_modes -6 -p 0x0a,1
shows '4a 01 00 1c'
for control in 0 1 2 3; do
	sees 0 sg_modes -6 -c $control -p 8
	shows '88 12 04' # PS: it can be saved
done
sees 0 sg_wr_mode -p 8 -c 8,12,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
sees 0 sg_modes -p 8
shows '88 12 00'
sees 0 sg_wr_mode -6 -p 8 -c 8,12,4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
sees 0 sg_modes -p 8
shows '88 12 04'
sees $ILLEGAL sg_wr_mode -p 8 -c 8,12,4,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
sees 0 sg_logs -a
shows 'Supported log pages  \[0x0\]' '0x2f +Informational exceptions' 'IE asc = 0x0, ascq = 0x0'
sees $ILLEGAL sg_logs -p 0x0d

say "which commands there are"
sees 0 sg_opcodes -a
shows 'Compare and write' 'Format Unit' 'Sanitize, overwrite' 'Unmap' 'Write same\(16\)' 'Report timestamp' \
	'Persistent reserve out, register and move'
sees 0 sg_opcodes -o 0x89
shows 'is supported' 'Usage data: 89 18 ff ff ff ff ff ff ff ff 00 00 00 ff 1f 00'
sees 0 sg_opcodes -R -o 0x9e,0x10
shows 'is supported' 'no nominal timeout'
sees 0 sg_opcodes -o 0xd3
shows 'NOT supported'
sees 0 sg_opcodes --tmf
shows 'Abort task' 'Logical unit reset'
sees 0 sg_timestamp
assert_le $(($(date +%s) * 1000 - OUTPUT)) 60000 "how far behind the timestamp is (ms)"

say "provisioning"
sees 0 sg_get_lba_status
shows "blocks: +$BLOCKS +deallocated"
sees 0 sg_write_same -S -l 0 -n 64 -i /run/a
holds a 0 64
sees 0 sg_get_lba_status
shows 'blocks: +64 +mapped'
sees 0 sg_unmap -f -l 0,32 -n 16,8
holds '\0' 0 16
holds a 16 16
holds '\0' 32 8
sees 0 sg_get_lba_status
shows 'blocks: +16 +deallocated'
sees 0 sg_get_lba_status -l 16
shows 'blocks: +16 +mapped'
sees $OUT_OF_RANGE sg_unmap -f -l $((BLOCKS - 1)) -n 2
sees 0 sg_write_same -S -l 0 -n 64 -U -i /run/zero
sees 0 sg_get_lba_status
shows "blocks: +$BLOCKS +deallocated"
sees 0 sg_write_same --10 -l 8 -n 8 -i /run/a
sees 0 sg_write_same -S -l 8 -n 4 --ndob
holds '\0' 8 4
holds a 12 4
sees $ILLEGAL sg_write_same -S -l 0 -n 0 -i /run/zero
sees $ILLEGAL sg_write_same -S -l 0 -n 4 --anchor --unmap -i /run/zero

say "compare and write, verify"
sees 0 sg_write_same -S -l 0 -n 16 -i /run/a
sees 0 sg_compare_and_write -i /run/a16b16 -l 0 -n 16 -x 16384
holds b 0 16
sees $MISCOMPARE sg_compare_and_write -i /run/a16b16 -l 0 -n 16 -x 16384
shows 'Miscompare at byte offset: 0 '
sees 0 sg_write_same -S -l 0 -n 3 -i /run/a
sees $MISCOMPARE sg_compare_and_write -i /run/a16b16 -l 0 -n 16 -x 16384
shows 'Miscompare at byte offset: 1536 '
holds b 3 13
sees 0 sg_verify -l 0 -c $BLOCKS
sees $OUT_OF_RANGE sg_verify -l 0 -c $((BLOCKS + 1))
sees 0 sg_write_verify -l 0 -n 16 -i /run/a16
sees 0 sg_verify -l 0 -c 16 -n 8192 -i /run/a16
sees 0 sg_write_verify -S -b 1 -l 16 -n 16 -i /run/a16
holds a 0 32
sees 0 sg_verify -S -l 0 -c 32 --ebytchk=3 -n 512 -i /run/a
sees $MISCOMPARE sg_verify -S -l 1 -c 32 --ebytchk=3 -n 512 -i /run/a

say "readiness, stop, resets"
sees 0 sg_turs -n 10
sees 0 sg_requests
shows 'No Sense'
sees 0 sg_requests -d
shows 'Descriptor format'
sees 0 sg_start -S
sees 0 sg_start -s
sees 0 sg_prevent
sees 0 sg_prevent -a
sees 0 sg_sync
sees 0 sg_sync -S
sees 0 sg_senddiag -t
sees 0 sg_senddiag -l
for reset in -d -t; do
	sees 0 sg_reset $reset
	sees $ATTENTION sg_turs -v
	shows 'Bus device reset function occurred'
	sees 0 sg_turs
done
holds a 0 32

say "reservations"
sees 0 sg_persist -k
shows 'NO registered reservation keys'
sees 0 sg_persist -o -G -S 0xabc
sees 0 sg_persist -o -R -K 0xabc -T 5
sees 0 sg_persist -k
shows '1 registered reservation key follows' '0xabc'
sees 0 sg_persist -r
shows 'Key=0xabc' 'Write Exclusive, registrants only'
sees 0 sg_persist -s
shows 'Reservation holder'
sees 0 sg_persist -c
shows '\(PTPL_C\): 1' 'Exclusive Access, all registrants: 1'
sees 0 sg_persist -o -L -K 0xabc -T 5
sees 0 sg_persist -o -G -K 0xabc -S 0xdef -Z
sees 0 sg_persist -o -C -K 0xdef
sees 0 sg_persist -r
shows 'NO reservation held'

say "format and sanitize"
sees 0 sg_format -F -Q -w
holds '\0' 0 64
sees 0 sg_get_lba_status
shows "blocks: +$BLOCKS +deallocated"
sees $ILLEGAL sg_format -F -Q -f 1
sees 0 sg_sanitize -O -Q -w --pattern=/run/a --ipl=512
holds a 0 64
holds a $((BLOCKS - 64)) 64
sees 0 sg_sanitize -O -Q -w --zero
holds '\0' $((BLOCKS - 64)) 64
sees 0 sg_write_same -S -l 0 -n 64 -i /run/a
sees 0 sg_sanitize -B -Q -w
holds '\0' 0 64
sees $ILLEGAL sg_sanitize -C -Q -w
sees 0 sg_sanitize -F -Q -w
detach disk
delete_backstore_configfs disk

say "a medium error, in both formats of sense"
truncate -s 64M /srv/bad.img
SUBTYPE='fault'
make_backstore_configfs bad "/srv/bad.img;error=READ:EIO" $((64 << 20))
attach bad
sees $MEDIUM_AT sg_verify -v -l 4660 -c 16
shows 'Fixed format.*Medium Error' 'Unrecovered read error' 'reported lba=0x1234'
sees 0 sg_wr_mode -p 0xa -c a,a,6,10,0,40,0,0,ff,ff,0,0
sees $MEDIUM_AT sg_verify -v -l 4660 -c 16
shows 'Descriptor format.*Medium Error' 'Unrecovered read error' 'reported lba=0x1234'
sees $ILLEGAL sg_verify -v -l 0 -c 16 -P 1
shows 'Descriptor format.*Illegal Request' 'Invalid field in cdb' 'byte 1 bit 5'
detach bad
delete_backstore_configfs bad

say "the progress of what erases, and what a stop of the daemon leaves behind"
truncate -s 64M /srv/slow.img
make_backstore_configfs slow "/srv/slow.img;hold_file=/run/hold" $((64 << 20))
attach slow
touch /run/hold
sees 0 sg_format -F -Q -e
sees $NOT_READY sg_turs
sees 0 sg_requests -p
shows 'Progress indication: 0.00%'
rm /run/hold
wait_for 20 ready
touch /run/hold
sees 0 sg_sanitize -O -Q -e --pattern=/run/a --ipl=512
sees $NOT_READY sg_turs
kill -TERM "$DAEMON_PID"
wait_for 20 grep -q 'stopping: signal' "$DAEMON_LOG"
rm /run/hold
wait_tcmud 60
assert_eq "$DAEMON_STATUS" 0 "the exit status"
start_tcmud
sees 0 sg_requests
shows 'Medium Error' 'anitize command failed'
sees 0 sg_sanitize -O -Q -w --pattern=/run/a --ipl=512
wait_for 20 ready
holds a 0 64
detach slow
delete_backstore_configfs slow
[ -z "$(find /run/tcmud -name 'erasing-*')" ] || fail "a mark of an erasure is left"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
