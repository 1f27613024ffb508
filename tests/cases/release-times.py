# SPDX-License-Identifier: Apache-2.0
"""Prints, for each TCMU device in a trace, when its memory and its file were released after uio_unregister_device.

usage: release-times.py TRACE

One line a device, in the order of unregistration: the backstore's name, milliseconds to tcmu_dev_kref_release,
milliseconds to uio_release; "-" for an event that is missing. trace_start in lib.sh defines the events.

How a release is assigned to its device: the kref and the uio_info are in the same structure, so the distance of their
addresses is the same for all devices; a uio device is freed by its last reference, which is the file's when the file
is closed after the unregistration.
"""
import collections
import re
import sys

LINE = re.compile(r"-(\d+)\s+\[\d+\].*?\s(\d+\.\d+): (\w+): \(.*?\)(.*)")
FIELD = re.compile(r'(\w+)=("[^"]*"|\S+)')


def read_events(path):
    with open(path, encoding="ascii", errors="replace") as trace:
        for line in trace:
            found = LINE.search(line)
            if found:
                fields = {key: value.strip('"') for key, value in FIELD.findall(found[4])}
                yield int(found[1]), float(found[2]), found[3], fields


def kref_distance(events):
    """The distance of most pairs of a uio_info and a kref."""
    infos = [int(fields["info"], 16) for _, _, name, fields in events if name == "unregister"]
    krefs = [int(fields["kref"], 16) for _, _, name, fields in events if name == "kref_release"]
    distances = collections.Counter(info - kref for info in infos for kref in krefs if 0 < info - kref < 65536)
    return distances.most_common(1)[0][0] if distances else 0


def main():
    events = list(read_events(sys.argv[1]))
    distance = kref_distance(events)
    devices, by_kref, by_idev, closed = [], {}, {}, {}
    for task, time, name, fields in events:
        if name == "unregister":
            device = {"name": fields["name"].split("/")[2], "start": time, "kref": None, "file": None}
            devices.append(device)
            by_kref[int(fields["info"], 16) - distance] = device
            by_idev[int(fields["idev"], 16)] = device
        elif name == "kref_release" and int(fields["kref"], 16) in by_kref:
            by_kref.pop(int(fields["kref"], 16))["kref"] = time
        elif name == "uio_release":
            closed[task] = time
        elif name == "idev_free":
            # struct uio_device: a pointer, then the struct device that is freed here
            device = by_idev.pop(int(fields["dev"], 16) - 8, None)
            if device:
                device["file"] = closed.pop(task, time)
    for device in devices:
        times = ["-" if device[key] is None else f"{max(0.0, device[key] - device['start']) * 1000:.1f}" for key in ("kref", "file")]
        print(device["name"], *times)


main()
