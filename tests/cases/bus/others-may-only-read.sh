#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# On the bus any user may list the handlers and devices. Only root may check a config string, register a handler, change a
# setting, or own one of our names; the daemon refuses other users also where a policy file of another package permits all.
# A user who floods the bus delays neither tcmuctl nor a create.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

SERVICE=org.kernel.TCMUService1
ROOT=/org/kernel/TCMUService1

as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
}

may() { must as_nobody busctl call "$SERVICE" "$@"; }
may_not() {
	must_fail as_nobody busctl call "$SERVICE" "$@"
	assert_match "$OUTPUT" 'Access denied|not authorized|rejected' "the refusal of $2 $3"
}

start_tcmud
wait_for 10 busctl --quiet status "$SERVICE"

say "permitted to any user"
may $ROOT org.freedesktop.DBus.ObjectManager GetManagedObjects
assert_match "$OUTPUT" "$ROOT/file" "the objects"
may $ROOT/file org.freedesktop.DBus.Properties GetAll s $SERVICE
may $ROOT/file org.freedesktop.DBus.Properties Get ss $SERVICE ConfigDesc
may $ROOT/file org.freedesktop.DBus.Introspectable Introspect
may $ROOT/file org.freedesktop.DBus.Peer Ping

say "permitted to root only"
may_not $ROOT/file $SERVICE CheckConfig s file//etc/shadow
may_not $ROOT/file $SERVICE ChangeMedium sts disk 1048576 file//srv/x.img
may_not $ROOT/HandlerManager1 $SERVICE.HandlerManager1 RegisterHandler ss file x
may_not $ROOT/file org.freedesktop.DBus.Properties Set ssv $SERVICE ConfigDesc s x
must busctl call $SERVICE $ROOT/file $SERVICE CheckConfig s file//srv/x.img
assert_eq "$OUTPUT" 'bs true "success"' "the answer to root's check"
must busctl call $SERVICE $ROOT/HandlerManager1 $SERVICE.HandlerManager1 RegisterHandler ss mine x
assert_match "$OUTPUT" '^bs false ".+"$' "the answer to root's registration"

say "org.tcmud1: permitted to any user"
make_backstore_configfs disk /srv/disk.img $((64 << 20))
SERVICE=org.tcmud1
ROOT=/org/tcmud1
may $ROOT org.freedesktop.DBus.ObjectManager GetManagedObjects
assert_match "$OUTPUT" "$ROOT/device/uio0" "the objects"
may $ROOT/device/uio0 org.freedesktop.DBus.Properties GetAll s $SERVICE.Device
assert_match "$OUTPUT" '"Name" s "user_100/disk"' "the device"
may $ROOT/device/uio0 org.freedesktop.DBus.Introspectable Introspect
may $ROOT org.freedesktop.DBus.Properties Get ss $SERVICE.Manager Version

say "org.tcmud1: permitted to root only"
for method in SetLogLevel,i,1 Dump FindDevice,s,disk; do
	IFS=, read -ra words <<<"$method"
	may_not $ROOT $SERVICE.Manager "${words[@]}"
done
may_not $ROOT/device/uio0 $SERVICE.Device ListRequests
may_not $ROOT/device/uio0 $SERVICE.Device Reopen
may_not $ROOT org.freedesktop.DBus.Properties Set ssv $SERVICE.Manager LogLevel i 1
must busctl call $SERVICE $ROOT $SERVICE.Manager FindDevice s disk
assert_eq "$OUTPUT" "o \"$ROOT/device/uio0\"" "the path of the device"
must busctl call $SERVICE $ROOT/device/uio0 $SERVICE.Device ListRequests
attach disk
must busctl call $SERVICE $ROOT $SERVICE.Manager Dump
assert_match "$OUTPUT" 'user_100/disk' "the dump"
detach disk
must busctl call $SERVICE $ROOT $SERVICE.Manager SetLogLevel i 4
assert_eq "$(tcmuctl log-level)" '4 DEBUG' "the log level"
delete_backstore_configfs disk
SERVICE=org.kernel.TCMUService1
ROOT=/org/kernel/TCMUService1

say "the policy that Debian's tcmu-runner leaves: the daemon refuses by itself"
reload_bus() { must busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig; }
mkdir -p /etc/dbus-1/system.d
cat >/etc/dbus-1/system.d/tcmu-runner.conf <<-END
	<busconfig>
	<policy user="root">
	  <allow own="org.kernel.TCMUService1"/>
	</policy>
	<policy context="default">
	  <allow send_destination="org.kernel.TCMUService1"/>
	  <allow own_prefix="org.kernel.TCMUService1.HandlerManager1"/>
	  <allow send_interface="org.kernel.TCMUService1"/>
	</policy>
	</busconfig>
END
reload_bus
make_backstore_configfs disk /srv/disk.img $((64 << 20))
refused_by_daemon() { # PATH METHOD ARGUMENT...
	must_fail as_nobody dbus-send --system --print-reply --dest=$SERVICE "$@"
	assert_match "$OUTPUT" 'AccessDenied: only root may call' "the refusal of $2"
}
refused_by_daemon $ROOT/file $SERVICE.CheckConfig string:file//etc/shadow
refused_by_daemon $ROOT/file $SERVICE.ChangeMedium string:disk uint64:1048576 string:file//srv/x.img
refused_by_daemon $ROOT/HandlerManager1 $SERVICE.HandlerManager1.RegisterHandler string:mine string:x
refused_by_daemon /org/tcmud1 org.tcmud1.Manager.SetLogLevel int32:1
refused_by_daemon /org/tcmud1 org.tcmud1.Manager.Dump
refused_by_daemon /org/tcmud1 org.tcmud1.Manager.FindDevice string:disk
refused_by_daemon /org/tcmud1/device/uio0 org.tcmud1.Device.ListRequests
refused_by_daemon /org/tcmud1/device/uio0 org.tcmud1.Device.Reopen
must busctl call $SERVICE $ROOT/file $SERVICE CheckConfig s file//srv/x.img
assert_eq "$OUTPUT" 'bs true "success"' "the answer to root's check"
assert_eq "$(tcmuctl log-level)" '4 DEBUG' "the log level"
delete_backstore_configfs disk
rm /etc/dbus-1/system.d/tcmu-runner.conf
reload_bus

say "a flood of four clients"
flood() {
	as_nobody python3 -I - <<-'END'
		from gi.repository import Gio, GLib

		bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
		refusals = 0
		def call():
		    bus.call("org.kernel.TCMUService1", "/org/tcmud1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
		             None, None, Gio.DBusCallFlags.NONE, -1, None, on_reply)
		def on_reply(bus, result):
		    global refusals
		    try:
		        bus.call_finish(result)
		    except GLib.Error as error:
		        if refusals == 0:
		            print(error.message, flush=True)
		        refusals += 1
		    call()
		for _ in range(100):
		    call()
		GLib.MainLoop().run()
	END
}
flooders=()
for i in 1 2 3 4; do
	flood >/run/flood.$i &
	flooders+=($!)
done
floods() { [ -s /run/flood.1 ] && [ -s /run/flood.2 ] && [ -s /run/flood.3 ] && [ -s /run/flood.4 ]; }
wait_for 60 floods
must cat /run/flood.1
assert_match "$OUTPUT" 'LimitsExceeded' "the refusal of a costly read"
began=$EPOCHREALTIME
must timeout 60 tcmuctl list
make_backstore_configfs disk /srv/disk.img $((64 << 20))
must timeout 60 busctl call $SERVICE /org/kernel/TCMUService1 org.freedesktop.DBus.ObjectManager GetManagedObjects
delete_backstore_configfs disk
say "tcmuctl, a create, root's reading and a delete: $(((${EPOCHREALTIME/./} - ${began/./}) / 1000)) ms"
kill "${flooders[@]}"
wait "${flooders[@]}" || :

say "names"
for name in org.tcmud1 $SERVICE $SERVICE.HandlerManager1.file $SERVICE.Other; do
	must_fail as_nobody busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su "$name" 0
	assert_match "$OUTPUT" 'not allowed to own|Access denied|Permission denied' "the refusal of the name $name"
done

stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
