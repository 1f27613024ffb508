#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The programs of sg3-utils work on a loopback disk: VPD pages, mode pages, provisioning, compare and write, verify,
# reservations, format, sanitize and resets.
# vm: timeout=300 smp=1
# vm: plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

NOT_READY=2 ILLEGAL=5 ATTENTION=6 MISCOMPARE=14 MEDIUM_AT=18 OUT_OF_RANGE=22 # exit statuses of sg3-utils
BLOCKS=131072

# expect_status STATUS COMMAND...: runs it on the disk, and it must end with STATUS. OUTPUT is its output.
expect_status() {
	local status=0
	OUTPUT=$("${@:2}" "$DISK" 2>&1) || status=$?
	assert_eq "$status" "$1" "the status of ${*:2}"
}

# expect_output PATTERN...: OUTPUT matches each.
expect_output() {
	local pattern
	for pattern; do assert_match "$OUTPUT" "$pattern" "the output"; done
}

fill_bytes() { head -c "$2" /dev/zero | tr '\0' "$1"; } # CHARACTER BYTES

# expect_blocks CHARACTER LBA BLOCKS: these blocks have only this character.
expect_blocks() {
	cmp -s <(dd if="$DISK" iflag=direct bs=512 skip="$2" count="$3" status=none) <(fill_bytes "$1" $(($3 * 512))) ||
		fail "blocks $2 to $(($2 + $3 - 1)) are not all '$1'"
}

is_ready() { sg_turs "$DISK" >/dev/null 2>&1; }

start_tcmud
make_backstore_configfs disk "/srv/disk.img;sanitize=1" $((BLOCKS * 512))
echo 0123456789abcdef >"$CORE/$HBA/disk/wwn/vpd_unit_serial"
attach disk
fill_bytes a 512 >/run/a
fill_bytes a 8192 >/run/a16
fill_bytes '\0' 512 >/run/zero
{ fill_bytes a 8192 && fill_bytes b 8192; } >/run/a16b16

say "INQUIRY"
expect_status 0 sg_inq -d
expect_output 'PDT=0 .*RMB=0 .*\[SPC-4\]' 'Resp_data_format=2' 'CmdQue=1' 'Vendor identification: LIO-ORG' \
	'Product identification: TCMU device' 'Unit serial number: 0123456789abcdef' 'SAM-5' 'SPC-4' 'SBC-3'
for page in sv sn ei mpp bl bdc lbpv; do
	expect_status 0 sg_vpd -p $page
done
expect_status 0 sg_vpd -a
expect_output 'Unit serial number: 0123456789abcdef' 'vendor id: LIO-ORG' '0x60014050123456789abcdef000000000' 'SIMPSUP=1' \
	'Policy: shared' 'Write same non-zero \(WSNZ\): 1' 'compare and write length: 255 blocks' 'transfer length: 8192 blocks' \
	'unmap LBA count: 1048576' 'unmap block descriptor count: 32' 'unmap granularity: 8 blocks' \
	'write same length: 0x20000 blocks' 'WABEREQ=1' 'FUAB=1' '\(LBPU\): 1' '\(LBPWS\): 1' '\(LBPWS10\): 1' '\(LBPRZ\): 1' \
	'Provisioning type: 2'
must_fail sg_vpd -p 0xc0 "$DISK"

say "capacity, mode pages, log pages"
expect_status 0 sg_readcap
expect_output "Number of logical blocks=$BLOCKS" 'block length=512 bytes'
expect_status 0 sg_readcap -l
expect_output 'prot_en=0' 'lbpme=1, lbprz=1' 'exponent=3'
expect_status 0 sg_modes -a
expect_output 'WP=0, DpoFua=1' 'Read-Write error recovery' 'Caching' 'Control' 'Informational exceptions'
expect_status 0 sg_modes -6 -p 0x0a,1
expect_output '4a 01 00 1c'
for control in 0 1 2 3; do
	expect_status 0 sg_modes -6 -c $control -p 8
	expect_output '88 12 04' # PS: the page can be saved
done
expect_status 0 sg_wr_mode -p 8 -c 8,12,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
expect_status 0 sg_modes -p 8
expect_output '88 12 00'
expect_status 0 sg_wr_mode -6 -p 8 -c 8,12,4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
expect_status 0 sg_modes -p 8
expect_output '88 12 04'
expect_status $ILLEGAL sg_wr_mode -p 8 -c 8,12,4,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
expect_status 0 sg_logs -a
expect_output 'Supported log pages  \[0x0\]' '0x10 +Self test results' '0x2f +Informational exceptions' 'IE asc = 0x0, ascq = 0x0'
expect_status $ILLEGAL sg_logs -p 0x0d

say "supported commands"
expect_status 0 sg_opcodes -a
expect_output 'Compare and write' 'Format Unit' 'Sanitize, overwrite' 'Unmap' 'Write same\(16\)' 'Report timestamp' \
	'Persistent reserve out, register and move'
expect_status 0 sg_opcodes -o 0x89
expect_output 'is supported' 'Usage data: 89 18 ff ff ff ff ff ff ff ff 00 00 00 ff 1f 00'
expect_status 0 sg_opcodes -R -o 0x9e,0x10
expect_output 'is supported' 'no nominal timeout'
expect_status 0 sg_opcodes -o 0xd3
expect_output 'NOT supported'
expect_status 0 sg_opcodes --tmf
expect_output 'Abort task' 'Logical unit reset'
expect_status 0 sg_timestamp
assert_le $(($(date +%s) * 1000 - OUTPUT)) 60000 "how far behind the timestamp is (ms)"

say "provisioning"
expect_status 0 sg_get_lba_status
expect_output "blocks: +$BLOCKS +deallocated"
expect_status 0 sg_write_same -S -l 0 -n 64 -i /run/a
expect_blocks a 0 64
expect_status 0 sg_get_lba_status
expect_output 'blocks: +64 +mapped'
expect_status 0 sg_unmap -f -l 0,32 -n 16,8
expect_blocks '\0' 0 16
expect_blocks a 16 16
expect_blocks '\0' 32 8
expect_status 0 sg_get_lba_status
expect_output 'blocks: +16 +deallocated'
expect_status 0 sg_get_lba_status -l 16
expect_output 'blocks: +16 +mapped'
expect_status $OUT_OF_RANGE sg_unmap -f -l $((BLOCKS - 1)) -n 2
expect_status 0 sg_write_same -S -l 0 -n 64 -U -i /run/zero
expect_status 0 sg_get_lba_status
expect_output "blocks: +$BLOCKS +deallocated"
expect_status 0 sg_write_same --10 -l 8 -n 8 -i /run/a
expect_status 0 sg_write_same -S -l 8 -n 4 --ndob
expect_blocks '\0' 8 4
expect_blocks a 12 4
expect_status $ILLEGAL sg_write_same -S -l 0 -n 0 -i /run/zero
expect_status $ILLEGAL sg_write_same -S -l 0 -n 4 --anchor --unmap -i /run/zero

say "compare and write, verify"
expect_status 0 sg_write_same -S -l 0 -n 16 -i /run/a
expect_status 0 sg_compare_and_write -i /run/a16b16 -l 0 -n 16 -x 16384
expect_blocks b 0 16
expect_status $MISCOMPARE sg_compare_and_write -i /run/a16b16 -l 0 -n 16 -x 16384
expect_output 'Miscompare at byte offset: 0 '
expect_status 0 sg_write_same -S -l 0 -n 3 -i /run/a
expect_status $MISCOMPARE sg_compare_and_write -i /run/a16b16 -l 0 -n 16 -x 16384
expect_output 'Miscompare at byte offset: 1536 '
expect_blocks b 3 13
expect_status 0 sg_verify -l 0 -c $BLOCKS
expect_status $OUT_OF_RANGE sg_verify -l 0 -c $((BLOCKS + 1))
expect_status 0 sg_write_verify -l 0 -n 16 -i /run/a16
expect_status 0 sg_verify -l 0 -c 16 -n 8192 -i /run/a16
expect_status 0 sg_write_verify -S -b 1 -l 16 -n 16 -i /run/a16
expect_blocks a 0 32
expect_status 0 sg_verify -S -l 0 -c 32 --ebytchk=3 -n 512 -i /run/a
expect_status $MISCOMPARE sg_verify -S -l 1 -c 32 --ebytchk=3 -n 512 -i /run/a

say "readiness, stop, resets"
expect_status 0 sg_turs -n 10
expect_status 0 sg_requests
expect_output 'No Sense'
expect_status 0 sg_requests -d
expect_output 'Descriptor format'
expect_status 0 sg_start -S
expect_status 0 sg_start -s
expect_status 0 sg_prevent
expect_status 0 sg_prevent -a
expect_status 0 sg_sync
expect_status 0 sg_sync -S
expect_status 0 sg_senddiag -t
expect_status 0 sg_senddiag -l
# loopback of newer kernels has no target reset, neither for the kernel's own backstores (docs/kernels.md).
resets=(-d)
if grep -q ' tcm_loop_target_reset' /proc/kallsyms; then resets+=(-t); fi
for reset in "${resets[@]}"; do
	expect_status 0 sg_reset "$reset"
	expect_status $ATTENTION sg_turs -v
	expect_output 'Bus device reset function occurred'
	expect_status 0 sg_turs
done
expect_blocks a 0 32

say "reservations"
expect_status 0 sg_persist -k
expect_output 'NO registered reservation keys'
expect_status 0 sg_persist -o -G -S 0xabc
expect_status 0 sg_persist -o -R -K 0xabc -T 5
expect_status 0 sg_persist -k
expect_output '1 registered reservation key follows' '0xabc'
expect_status 0 sg_persist -r
expect_output 'Key=0xabc' 'Write Exclusive, registrants only'
expect_status 0 sg_persist -s
expect_output 'Reservation holder'
expect_status 0 sg_persist -c
expect_output '\(PTPL_C\): 1' 'Exclusive Access, all registrants: 1'
expect_status 0 sg_persist -o -L -K 0xabc -T 5
expect_status 0 sg_persist -o -G -K 0xabc -S 0xdef -Z
expect_status 0 sg_persist -o -C -K 0xdef
expect_status 0 sg_persist -r
expect_output 'NO reservation held'

say "format and sanitize"
expect_status 0 sg_format -F -Q -w
expect_blocks '\0' 0 64
expect_status 0 sg_get_lba_status
expect_output "blocks: +$BLOCKS +deallocated"
expect_status $ILLEGAL sg_format -F -Q -f 1
expect_status 0 sg_sanitize -O -Q -w --pattern=/run/a --ipl=512
expect_blocks a 0 64
expect_blocks a $((BLOCKS - 64)) 64
expect_status 0 sg_sanitize -O -Q -w --zero
expect_blocks '\0' $((BLOCKS - 64)) 64
expect_status 0 sg_write_same -S -l 0 -n 64 -i /run/a
expect_status 0 sg_sanitize -B -Q -w
expect_blocks '\0' 0 64
expect_status $ILLEGAL sg_sanitize -C -Q -w
expect_status 0 sg_sanitize -F -Q -w
detach disk
delete_backstore_configfs disk

say "a medium error, in both formats of sense"
truncate -s 64M /srv/bad.img
SUBTYPE='fault'
make_backstore_configfs bad "/srv/bad.img;error=READ:EIO" $((64 << 20))
attach bad
expect_status $MEDIUM_AT sg_verify -v -l 4660 -c 16
expect_output 'Fixed format.*Medium Error' 'Unrecovered read error' 'reported lba=0x1234'
expect_status 0 sg_wr_mode -p 0xa -c a,a,6,10,0,40,0,0,ff,ff,0,0
expect_status $MEDIUM_AT sg_verify -v -l 4660 -c 16
expect_output 'Descriptor format.*Medium Error' 'Unrecovered read error' 'reported lba=0x1234'
expect_status $ILLEGAL sg_verify -v -l 0 -c 16 -P 1
expect_output 'Descriptor format.*Illegal Request' 'Invalid field in cdb' 'byte 1 bit 5'
detach bad
delete_backstore_configfs bad

say "progress of format and sanitize, and a stop of the daemon meanwhile"
truncate -s 64M /srv/slow.img
make_backstore_configfs slow "/srv/slow.img;hold_file=/run/hold;sanitize=1" $((64 << 20))
attach slow
touch /run/hold
expect_status 0 sg_format -F -Q -e
expect_status $NOT_READY sg_turs
expect_status 0 sg_requests -p
expect_output 'Progress indication: 0.00%'
rm /run/hold
wait_for 20 is_ready
touch /run/hold
expect_status 0 sg_sanitize -O -Q -e --pattern=/run/a --ipl=512
expect_status $NOT_READY sg_turs
kill -TERM "$DAEMON_PID"
wait_for 20 grep -q 'stopping: signal' "$DAEMON_LOG"
rm /run/hold
wait_tcmud 60
assert_eq "$DAEMON_STATUS" 0 "the exit status"
start_tcmud
expect_status 0 sg_requests
expect_output 'Medium Error' 'anitize command failed'
expect_status 0 sg_sanitize -O -Q -w --pattern=/run/a --ipl=512
wait_for 20 is_ready
expect_blocks a 0 64
detach slow
delete_backstore_configfs slow
[ -z "$(find /run/tcmud -name 'format-*')" ] || fail "a mark of a format is left"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
