#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo, which explains each step. A LUN is created by targetcli, used, resized and deleted, and the kernel releases it.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

if [ -n "${DEMO_COLOUR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' plain=$'\e[0m'
else
	bold='' dim='' green='' plain=''
fi

chapter() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
explain_step() { printf '  %s\n' "$*"; }
print_result() { printf '  %s%s%s\n' "$green" "$*" "$plain"; }

# run_quietly COMMAND...: prints the command and runs it.
run_quietly() {
	printf '  %s# %s%s\n' "$dim" "$*" "$plain"
	must "$@"
}

# run_shown COMMAND...: the same, with its output.
run_shown() {
	run_quietly "$@"
	[ -z "$OUTPUT" ] || sed -e 's/^/    /' -e "s/[[:cntrl:]]\[[0-9;]*m//g" <<<"$OUTPUT"
}

read -r _ _ version _ </proc/version
say() { :; } # this test prints its own text
mkdir -p /root/.targetcli
# Without preferences targetcli prints a warning. Its default log level is invalid, so this sets a valid one.
printf '(dVloglevel_file\nVdebug\ns.' >/root/.targetcli/prefs.bin

chapter "1. tcmud starts"
start_tcmud
explain_step "$(tcmud --version) serves on Linux $version, pid $DAEMON_PID"

chapter "2. targetcli creates a backstore and a loopback LUN"
naa=$(naa_of disk)
modprobe -a sd_mod sg
run_shown targetcli /backstores/user:file create name=disk size=256M cfgstring=/srv/disk.img
run_shown targetcli /loopback create "$naa"
run_shown targetcli "/loopback/$naa/luns" create /backstores/user:file/disk
wait_for 20 disk_appeared "$(<"$FABRICS/loopback/$naa/tpgt_1/address"):0"
run_shown lsscsi --size

chapter "3. A file system, files, and their checksums"
run_shown mkfs.ext4 -q "$DISK"
run_shown mount "$DISK" /mnt
run_shown cp -r /usr/lib/python3/dist-packages /mnt/copy
run_shown umount /mnt
explain_step "mounted again, so that every byte is read back from the LUN:"
run_shown mount "$DISK" /mnt
run_shown diff -r /usr/lib/python3/dist-packages /mnt/copy
print_result "$(find /mnt/copy -type f | wc -l) files are unchanged"
run_quietly fio --name=verify --filename=/mnt/fio --size=16M --rw=randwrite --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c
print_result "random writes, 16 in flight: all checksums match"

chapter "4. A live resize, with the file system mounted"
run_shown targetcli /backstores/user:file/disk set attribute dev_size=$((384 << 20))
grown() {
	echo 1 >"/sys/block/${DISK##*/}/device/rescan"
	[ "$(disk_bytes "$DISK")" -eq $((384 << 20)) ]
}
wait_for 10 grown
run_shown resize2fs "$DISK"
run_shown df -h /mnt
run_shown umount /mnt

chapter "5. Delete, watched by kprobes in the kernel"
trace_start
run_shown targetcli /loopback delete "$naa"
run_shown targetcli /backstores/user:file delete disk
assert_released 1 1000
wait_for 5 daemon_has_no_uio
nothing_left disk || fail "the backstore left something"
read -r _ memory file < <(trace_release_ms)
print_result "uio_unregister_device -> uio_release:           $file ms"
print_result "uio_unregister_device -> tcmu_dev_kref_release: $memory ms"
explain_step "The kernel has its ring and its data pages back; tcmud has no uio file open or mapped."

chapter "6. The backing file has the data"
run_quietly fsck.ext4 -fn /srv/disk.img
print_result "$(tail -n 1 <<<"$OUTPUT")"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
