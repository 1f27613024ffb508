#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A LUN over qemu-nbd with a qcow2 image: verified load while the server is ended and killed; then the image is sound. At last
# the server is stopped under load: the delete and the release stay within their limits.
# vm: disk=512M
# vm: timeout=400
# vm: hung_task=200 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

SUBTYPE=nbd
socket=/run/disk.sock
start_server() {
	must qemu-nbd --fork --pid-file=/run/nbd.pid --persistent --shared=8 --format=qcow2 --discard=unmap --socket=$socket \
		/scratch/disk.qcow2
}
end_server() { # SIGNAL
	must kill "-$1" "$(cat /run/nbd.pid)"
	wait_for 10 not running "$(cat /run/nbd.pid)"
}

scratch_disk ext4
must qemu-img create -q -f qcow2 /scratch/disk.qcow2 128M
start_server
start_tcmud
make_backstore_configfs disk "$socket" $((128 << 20))
attach disk
verified_writes "$DISK" 1M

log_mark
load_start "$DISK" 8M
for signal in TERM KILL TERM KILL; do
	before=$(writes_of "$DISK")
	wait_for 60 wrote "$DISK" $((before + 40))
	end_server $signal
	start_server
	wait_for 60 logged 'connected to the server again'
	log_mark
done
load_stop
say "no command has failed while the server was ended twice and killed twice"
must blkdiscard "$DISK"

# The server hangs under load. The kernel takes another time limit only without a LUN.
detach disk
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
kill -STOP "$(cat /run/nbd.pid)"
dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct 2>/dev/null &
wait_for 120 not running $!
say "the writes have failed for the initiator; in the daemon they wait for the server"
detach disk
trace_start
log_mark
milliseconds delete_backstore_configfs disk
say "delete: $MS ms"
assert_released 1 2000
wait_for 60 logged 'disk: .* -> GONE'
kill -CONT "$(cat /run/nbd.pid)"
end_server TERM
must qemu-img check -q /scratch/disk.qcow2
nothing_left disk || fail "the backstore left something"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
