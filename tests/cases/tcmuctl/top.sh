#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The screen of tcmuctl top fits a real terminal, tmux: it sorts, scrolls, filters, follows a resize and gives the terminal
# back. The list fits the terminal, too, and the health says what is wrong in words and in the exit status.
# vm: timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

LUNS=30
# The server stays: one that ends with its last terminal may still take the next one.
must tmux -f /dev/null new-session -d -s server 'exec sleep 1000'
screen() { tmux capture-pane -p -t top >/run/screen; }
shows() { screen && grep -qE -- "$1" /run/screen; }
in_terminal() { # COMMAND: of 80 columns and 24 lines
	tmux kill-session -t top &>/dev/null || :
	must tmux new-session -d -s top -x 80 -y 24 "$1"
}
fits() { # WIDTH
	awk -v width="$1" 'length($0) > width { print "wider than " width ": " $0; bad = 1 } END { exit bad }' /run/screen
}

start_tcmud
for i in $(seq -w 1 $LUNS); do
	SUBTYPE=null make_backstore_configfs "disk$i" lun $((64 << 20))
done
must tcmuctl health
assert_eq "$OUTPUT" "nothing is wrong: $LUNS devices" "the health"

say "top"
in_terminal 'tcmuctl top -i 0.5; echo "ended with $?"; exec sleep 1000'
wait_for 30 shows "^$LUNS devices, 0 not well; 1 to 21 of $LUNS, the busiest first$"
assert_eq "$(wc -l </run/screen)" 24 "the lines of the screen"
must fits 80
assert_eq "$(grep -c "^$HBA/disk" /run/screen)" 21 "the devices on the screen"
grep -qE '^DEVICE +r/s +rMiB/s +r_p99 +w/s +wMiB/s +w_p99 +err/s +busy +cpu%$' /run/screen || fail "the titles"
must tmux send-keys -t top s
wait_for 20 shows 'the slowest first$'
must tmux send-keys -t top End
wait_for 20 shows "; 10 to $LUNS of $LUNS,"
must tmux send-keys -t top /disk1
wait_for 20 shows '^filter: disk1_'
assert_eq "$(grep -c "^$HBA/disk1" /run/screen)" 10 "the devices that the filter leaves"
must tmux send-keys -t top Escape
wait_for 20 shows "; 1 to 21 of $LUNS,"
must tmux resize-window -t top -x 130 -y 12
wait_for 20 shows "; 1 to 9 of $LUNS,"
grep -qE '^DEVICE .* r_p50 +r_p99 .* depth +busy +cpu%$' /run/screen || fail "the titles of a wide terminal"
must fits 130
must tmux send-keys -t top q
wait_for 20 shows '^ended with 0$'
not shows "^$HBA/disk" || fail "the screen is still there"

say "a terminal that is given back after a signal, and after the daemon's end"
in_terminal 'tcmuctl top; stty | grep -e -echo; echo "ended with $?"; exec sleep 1000'
wait_for 30 shows '^DEVICE'
must tmux send-keys -t top C-c
wait_for 20 shows '^ended with 1$' # of grep: the terminal echoes
in_terminal 'tcmuctl top -i 0.5; echo "ended with $?"; exec sleep 1000'
wait_for 30 shows '^DEVICE'

for i in $(seq -w 1 $LUNS); do delete_backstore_configfs "disk$i"; done
SUBTYPE=unhandled make_backstore_configfs theirs "$(printf 'x%.0s' {1..200})" $((1 << 20)) nl_reply_supported=-1
stop_tcmud
wait_for 20 shows '^ended with 3$'
shows 'tcmud does not run' || fail "top does not say why it ends"

say "list and health"
truncate -s 64M /srv/file.img
start_tcmud
make_backstore_configfs file /srv/file.img $((64 << 20))
stop_tcmud
mv /srv/file.img /srv/away.img
start_tcmud
is_failed() { tcmuctl list | grep "^$HBA/file .* its\| the backing store" >/dev/null; }
wait_for 30 is_failed
in_terminal 'tcmuctl list; echo "ended with $?"; exec sleep 1000'
wait_for 30 shows '^ended with 0$'
must fits 80
assert_eq "$(sed -n 2p /run/screen | cut -d' ' -f1)" "$HBA/file" "the first line"
assert_eq "$(sed -n 4p /run/screen)" "ended with 0" "the line after two devices"
status=0
OUTPUT=$(tcmuctl health) || status=$?
say "$OUTPUT"
assert_eq $status 6 "the exit status of health"
assert_match "$OUTPUT" "^$HBA/file is [A-Z]+ for [0-9]+ s: .*missing" "the health"
mv /srv/away.img /srv/file.img
reopen file
must tcmuctl health

tmux kill-server
delete_backstore_configfs file
delete_backstore_configfs theirs
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
