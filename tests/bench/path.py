# SPDX-License-Identifier: Apache-2.0
"""Reads a function trace of one command at a time. Prints the median times between the points that a command passes, and
between commands."""
import re
import statistics
import sys

LINE = re.compile(r"\s(\d+\.\d+): (\w+)")


def main():
    points = sys.argv[1:]
    times, commands = {}, []
    for line in sys.stdin:
        found = LINE.search(line)
        if not found:
            continue
        time, point = float(found[1]) * 1e6, found[2]
        if point == points[0]:
            if len(times) == len(points):
                commands.append([times[name] for name in points] + [time])
            times = {}
        # The first time of a point counts. A command that passes the points in another order is ignored.
        if point in points and point not in times and points.index(point) == len(times):
            times[point] = time
    if not commands:
        sys.exit("the trace has no command that passes " + ", ".join(points))
    print(f"{len(commands)} commands, {statistics.median(times[-1] - times[0] for times in commands):.0f} us each")
    for index, point in enumerate(points):
        following = points[index + 1] if index + 1 < len(points) else "the next " + points[0]
        median = statistics.median(times[index + 1] - times[index] for times in commands)
        print(f"{median:7.0f} us  {point} to {following}")


main()
