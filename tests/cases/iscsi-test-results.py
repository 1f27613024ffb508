# SPDX-License-Identifier: Apache-2.0
#
# Reads the output of iscsi-test-cu and writes a line for each test: "pass", "skip" or "fail", and its name as SUITE.TEST.
# The program counts a test that prints [SKIPPED] as passed; here it counts as skipped.

import re
import sys

BEGINS = re.compile(r"^\s*Test: (\S+) \.\.\.")
ENDS = re.compile(r"^(?:\s*Test: \S+ \.\.\.)?(passed|FAILED)")


def main():
    suite = test = None
    skipped, result = False, None

    def finish():
        if test:
            outcome = "fail" if result == "FAILED" else "skip" if skipped else "pass" if result else "fail"
            print(f"{outcome} {suite}.{test}")

    for line in sys.stdin.buffer:
        line = line.decode("utf-8", "replace")
        match = BEGINS.match(line)
        if match or line.startswith(("Suite: ", "Run Summary:")):
            finish()
            test, skipped, result = None, False, None
        if line.startswith("Suite: "):
            suite = line.split()[1]
        if match:
            test = match[1]
        if "[SKIPPED]" in line:
            skipped = True
        end = ENDS.match(line)
        if end:
            result = end[1]
    finish()


main()
