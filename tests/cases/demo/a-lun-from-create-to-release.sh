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
good() { printf '  %s%s%s\n' "$green" "$*" "$plain"; }

# quietly COMMAND...: the command as one would type it.
quietly() {
	printf '  %s# %s%s\n' "$dim" "$*" "$plain"
	must "$@"
}

# show COMMAND...: the same, then what it prints.
show() {
	quietly "$@"
	[ -z "$OUTPUT" ] || sed -e 's/^/    /' -e "s/[[:cntrl:]]\[[0-9;]*m//g" <<<"$OUTPUT"
}

read -r _ _ version _ </proc/version
say() { :; } # this test speaks for itself
mkdir -p /root/.targetcli
# Preferences, or targetcli would warn that it has none. The level is one it knows: its own default for it is not.
printf '(dVloglevel_file\nVdebug\ns.' >/root/.targetcli/prefs.bin

chapter "1. tcmud starts"
start_tcmud
explain_step "$(tcmud --version) serves on Linux $version, pid $DAEMON_PID"

chapter "2. targetcli creates a backstore and a loopback LUN"
naa=$(naa_of disk)
modprobe -a sd_mod sg
show targetcli /backstores/user:file create name=disk size=256M cfgstring=/srv/disk.img
show targetcli /loopback create "$naa"
show targetcli "/loopback/$naa/luns" create /backstores/user:file/disk
wait_for 20 disk_appeared "$(<"$FABRICS/loopback/$naa/tpgt_1/address"):0"
show lsscsi --size

chapter "3. A file system, files, and their checksums"
show mkfs.ext4 -q "$DISK"
show mount "$DISK" /mnt
show cp -r /usr/lib/python3/dist-packages /mnt/copy
show umount /mnt
explain_step "mounted again, so that every byte is read back from the LUN:"
show mount "$DISK" /mnt
show diff -r /usr/lib/python3/dist-packages /mnt/copy
good "$(find /mnt/copy -type f | wc -l) files are as they were written"
quietly fio --name=verify --filename=/mnt/fio --size=16M --rw=randwrite --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c
good "random writes, 16 in flight: all checksums match"

chapter "4. A live resize, with the file system mounted"
show targetcli /backstores/user:file/disk set attribute dev_size=$((384 << 20))
grown() {
	echo 1 >"/sys/block/${DISK##*/}/device/rescan"
	[ "$(disk_bytes "$DISK")" -eq $((384 << 20)) ]
}
wait_for 10 grown
show resize2fs "$DISK"
show df -h /mnt
show umount /mnt

chapter "5. Delete, watched by kprobes in the kernel"
trace_start
show targetcli /loopback delete "$naa"
show targetcli /backstores/user:file delete disk
assert_released 1 1000
wait_for 5 daemon_has_no_uio
nothing_left disk || fail "the backstore left something"
read -r _ memory file < <(trace_release_ms)
good "uio_unregister_device -> uio_release:           $file ms"
good "uio_unregister_device -> tcmu_dev_kref_release: $memory ms"
explain_step "The kernel has its ring and its data pages back; tcmud holds no uio file and no mapping of one."

chapter "6. The data is where it belongs"
quietly fsck.ext4 -fn /srv/disk.img
good "$(tail -n 1 <<<"$OUTPUT")"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
