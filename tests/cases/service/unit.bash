# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# The build's unit under a real systemd. A test sources lib.sh, too.

UNIT=tcmud.service
property() { systemctl show --value --property="$1" $UNIT; }
active() { [ "$(property ActiveState)" = active ]; }

# place_unit OPTION...: makes the unit start the guest's build, with these options.
place_unit() {
	mkdir -p /run/systemd/system/$UNIT.d
	printf '[Service]\nExecStart=\nExecStart=%s --handler-path %s %s\n' "$(command -v tcmud)" "$(handler_dir)" "$*" \
		>/run/systemd/system/$UNIT.d/place.conf
	must systemctl daemon-reload
}

# watch_sandbox: restarts it so that every system call is permitted, and the kernel logs each one that its sandbox would
# forbid. (The kernel does not log a call that is refused.)
watch_sandbox() {
	printf '[Service]\nSystemCallFilter=\nSystemCallLog=~@system-service\nSystemCallLog=@privileged @resources\nSystemCallLog=~sched_setaffinity sched_setattr\n' \
		>/run/systemd/system/$UNIT.d/log.conf
	must systemctl daemon-reload
	must systemctl restart $UNIT
	DAEMON_PID=$(property MainPID)
}

# nothing_forbidden: fails the test if the kernel has logged such a system call.
nothing_forbidden() {
	if OUTPUT=$(dmesg | grep 'type=1326 .*exe="[^"]*/tcmud"'); then fail "system calls that the sandbox forbids"; fi
}
