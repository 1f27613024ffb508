# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# The build's unit under a real systemd, on top of lib.sh.

UNIT=tcmud.service
property() { systemctl show --value --property="$1" $UNIT; }
active() { [ "$(property ActiveState)" = active ]; }

# place_unit OPTION...: makes it start from where the guest has the build, with these options.
place_unit() {
	mkdir -p /run/systemd/system/$UNIT.d
	printf '[Service]\nExecStart=\nExecStart=%s --handler-path %s %s\n' "$(command -v tcmud)" "$(handler_dir)" "$*" \
		>/run/systemd/system/$UNIT.d/place.conf
	must systemctl daemon-reload
}

# watch_sandbox: starts it again, so that it may call everything, and the kernel tells of each call that its sandbox forbids. (Where
# a call is refused, the kernel says nothing.)
watch_sandbox() {
	printf '[Service]\nSystemCallFilter=\nSystemCallLog=~@system-service\nSystemCallLog=@privileged @resources\nSystemCallLog=~sched_setaffinity\n' \
		>/run/systemd/system/$UNIT.d/log.conf
	must systemctl daemon-reload
	must systemctl restart $UNIT
	DAEMON_PID=$(property MainPID)
}

# nothing_forbidden: the kernel has told of none.
nothing_forbidden() {
	if OUTPUT=$(dmesg | grep 'type=1326 .*exe="[^"]*/tcmud"'); then fail "calls that the sandbox forbids"; fi
}
