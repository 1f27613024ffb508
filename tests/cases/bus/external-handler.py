# SPDX-License-Identifier: Apache-2.0
"""A daemon that registers the external handler "mine" and answers its checks until it is killed.

usage: external-handler.py FILE     FILE gets the answer to the registration
"""

import sys

from gi.repository import Gio, GLib

SERVICE = "org.kernel.TCMUService1"
MANAGER = f"{SERVICE}.HandlerManager1"
PATH = "/org/kernel/TCMUService1/HandlerManager1"
INTERFACE = f"""<node><interface name="{SERVICE}"><method name="CheckConfig">
<arg type="s" direction="in"/><arg type="b" direction="out"/><arg type="s" direction="out"/>
</method></interface></node>"""


def on_check(_bus, _sender, _path, _interface, _method, arguments, invocation):
    fine = arguments.unpack()[0] == "mine/good"
    invocation.return_value(GLib.Variant("(bs)", (fine, "success" if fine else "it has to be good")))


def on_name(bus, name):
    answer = bus.call_sync(
        SERVICE, PATH, MANAGER, "RegisterHandler", GLib.Variant("(ss)", ("mine", "A test handler.")), None,
        Gio.DBusCallFlags.NONE, -1, None,
    )  # fmt: skip
    with open(sys.argv[1], "w") as file:
        print(*answer.unpack(), file=file)


bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
bus.register_object(f"{PATH}/mine", Gio.DBusNodeInfo.new_for_xml(INTERFACE).interfaces[0], on_check, None, None)
Gio.bus_own_name_on_connection(bus, f"{MANAGER}.mine", Gio.BusNameOwnerFlags.NONE, on_name, None)
GLib.MainLoop().run()
