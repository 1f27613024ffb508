# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests with the programs of tests/vm/clients.txt.

# shellcheck source=tests/cases/lib.sh
. "${BASH_SOURCE[0]%/*}/../lib.sh"

# use_clients: from now on they are below /usr, as if they were installed, but none of their services and udev rules runs.
use_clients() {
	must mount -t overlay -o lowerdir=/opt/clients/usr:/usr overlay /usr
	cp -an /opt/clients/etc/. /etc/
	must ldconfig
	export DM_DISABLE_UDEV=1
}

# kill_daemon: it is killed, and the next one starts at once, as systemd would start it.
kill_daemon() {
	stop_tcmud KILL
	start_tcmud
}

# kib_of IMAGE: the space that it occupies.
kib_of() { du -k "$1" | cut -f1; }
smaller_than() { [ "$(kib_of "$1")" -lt "$2" ]; } # IMAGE KIB; a condition

# no_complaints: fails the test if the initiator has seen an error that it was not to see.
no_complaints() {
	if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|Sense Key|timing out command|INTEGRITY|BTRFS.*error|EXT4-fs error'); then
		fail "the initiator saw an error"
	fi
}
