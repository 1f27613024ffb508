#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Config strings with every character that must be escaped, and a secret in a file: the LUN works, also after targetctl has
# saved and restored it, and no output of the daemon, of its programs or of the kernel has the secret.
# vm: init=systemd plugin=sealed timeout=600

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/../service/unit.bash"

SUBTYPE=sealed
SIZE=$((16 << 20))
outputs=/run/outputs
name='of: a,b;100%'             # in the names of files
escaped='of%3A%20a%2Cb%3B100%25' # the same in config strings
config="/srv/disk%20$escaped;key=/srv/key%20$escaped;product=c%3A%20d%2Ce%3Bf%25"

# make_secret FILE BYTES: a file with a secret that nothing else has; two digits for each byte
make_secret() {
	(umask 077 && head -c "$2" /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$1")
}

# ---- all outputs ----

# output NAME COMMAND...: keeps what it prints; it may fail.
output() {
	timeout 60 "${@:2}" >"$outputs/$1" 2>&1 </dev/null || :
}

# Each command of tcmuctl, as its help lists them. One without arguments here gets none.
tcmuctl_outputs() {
	local command arguments
	while read -r command; do
		arguments=()
		case $command in
		check) arguments=("sealed/$config") ;;
		complete) arguments=(-- tcmuctl status '') ;;
		inflight | limits | reopen | status) arguments=(disk) ;;
		top | stats) arguments=(-i 0.2 -c 1) ;;
		esac
		output "tcmuctl-$command" tcmuctl "$command" "${arguments[@]}"
		output "tcmuctl-$command-json" tcmuctl --json "$command" "${arguments[@]}"
	done < <(tcmuctl --help | sed -nE 's/^  ([a-z][a-z-]*)( .*)?$/\1/p')
	[ "$(find $outputs -name 'tcmuctl-*' | wc -l)" -gt 20 ] || fail "not all commands of tcmuctl ran: $(ls $outputs)"
}

# Each object of both services, with the values of its properties, and the calls that return more.
bus_outputs() {
	local service object
	for service in org.kernel.TCMUService1 org.tcmud1; do
		for object in $(busctl tree --list $service); do
			output "bus-$service${object//\//-}" busctl --full --no-pager introspect $service "$object"
		done
	done
	output bus-check busctl call org.kernel.TCMUService1 /org/kernel/TCMUService1/sealed org.kernel.TCMUService1 CheckConfig s \
		"sealed/${config/key%20/short%20}"
	output bus-dump busctl call org.tcmud1 /org/tcmud1 org.tcmud1.Manager Dump
}

collect_outputs() {
	tcmuctl_outputs
	bus_outputs
	output journal journalctl --quiet --output=export --all
	output dmesg dmesg
	output targetcli targetcli ls
	output saved targetctl save $outputs/saved.json
	output inquiry sg_inq --all "$DISK"
	output pages sg_vpd --all "$DISK"
}

# The files that have a text: all outputs, what programs keep in files, configfs, sysfs, and the arguments of the daemon.
files_with() { # TEXT
	{
		grep -rlaF -D skip -e "$1" $outputs /etc /root /run /srv /tmp /var "$FABRICS" "$UIO"/*/ \
			"/proc/$DAEMON_PID"/{cmdline,environ} 2>/dev/null || :
	} | sort -u
}

# The secrets are only in their files; the mechanism sees the path of the key wherever a config string is.
secrets_are_nowhere() {
	local found place secret
	collect_outputs
	found=$(files_with "key%20$escaped")
	for place in tcmuctl-dump tcmuctl-status-json bus-dump bus-monitor saved.json "$CORE"; do
		[[ $found == *$place* ]] || fail "no config string is in $place; it is in: $found"
	done
	grep -qa 'the key is too short: "\*\{14\}"' $outputs/journal || fail "the journal has no line of the refusal"
	for secret in key short; do
		assert_eq "$(files_with "$(<"/srv/$secret $name")")" "/srv/$secret $name" "the files that have the secret $secret"
	done
}

# ---- the test ----

mkdir $outputs
make_secret "/srv/key $name" 20
make_secret "/srv/short $name" 7
truncate -s $SIZE "/srv/disk $name"
printf 'log_level = 5\n' >/run/tcmu.conf
place_unit --config /run/tcmu.conf
must systemctl start $UNIT
wait_for 20 active
DAEMON_PID=$(property MainPID)
load_tcmu
busctl --quiet monitor >$outputs/bus-monitor 2>&1 &
monitor=$!
monitored() { grep -q 'Monitoring bus' $outputs/bus-monitor; }
wait_for 20 monitored

say "a key that is refused: the reason hides it"
must_fail targetcli "/backstores/user:sealed" create name=refused size=$SIZE cfgstring="${config/key%20/short%20}"
assert_match "$OUTPUT" 'the key is too short: "\*{14}"' "the reason"
must_fail make_backstore_configfs refused "${config/key%20/short%20}" $SIZE
rmdir "$CORE/$HBA/refused"

make_backstore disk "$config" $SIZE
attach_targetcli disk
verified_writes "$DISK" 1M
must dd if=/dev/urandom of=/run/bytes bs=64k count=4 status=none
must dd if=/run/bytes of="$DISK" bs=64k seek=64 oflag=direct status=none
must sg_inq "$DISK"
assert_match "$OUTPUT" 'Product identification: c: d,e;f%' "the answer to INQUIRY"
must_fail cmp -n $((256 << 10)) -i 0:$((4 << 20)) /run/bytes "/srv/disk $name"
secrets_are_nowhere

say "saved, cleared and restored"
must targetctl save /run/saved.json
must targetctl clear
nothing_left disk || fail "the backstore left something"
must targetctl restore /run/saved.json
assert_eq "$OUTPUT" '' "the output of targetctl restore"
wait_for 20 disk_appeared "$(<"$FABRICS/loopback/$(naa_of disk)/tpgt_1/address"):0"
must cmp -n $((256 << 10)) -i 0:$((4 << 20)) /run/bytes "$DISK"
verified_writes "$DISK" 1M
secrets_are_nowhere

say "with another key, the bytes are others"
detach_targetcli disk
delete_backstore disk
mv "/srv/key $name" /srv/key
make_secret /srv/other 20
make_backstore_configfs other "${config/key=*;product/key=/srv/other;product}" $SIZE
attach other
must_fail cmp -n $((256 << 10)) -i 0:$((4 << 20)) /run/bytes "$DISK"
detach other
delete_backstore_configfs other
mv /srv/key "/srv/key $name"

say "the path of an overlay, which a filter decodes"
SUBTYPE='file'
make_backstore_configfs overlay "/srv/disk%20$escaped;escaped;filter=cow+file=/srv/overlay%20$escaped%2B" $SIZE ||
	fail "refused: $(journalctl --quiet --output=cat --lines=5 --unit=$UNIT)"
attach overlay
exists "/srv/overlay $name+" || fail "there is no overlay: $(ls /srv)"
must cmp "$DISK" "/srv/disk $name"
detach overlay
delete_backstore_configfs overlay
kill $monitor
must systemctl stop $UNIT
assert_eq "$(property ExecMainStatus)" 0 "the exit status"
