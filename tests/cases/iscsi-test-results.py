# SPDX-License-Identifier: Apache-2.0
#
# Reads what iscsi-test-cu prints as it comes, and writes a line for each test: "pass", "skip" or "fail", its name as
# SUITE.TEST and the seconds it took. The program counts a test that says [SKIPPED] as passed; here it is a skip.

import re
import sys
import time

BEGINS = re.compile(r"^\s*Test: (\S+) \.\.\.")
ENDS = re.compile(r"^(?:\s*Test: \S+ \.\.\.)?(passed|FAILED)")


def main():
    suite = test = None
    skipped, result, began = False, None, 0.0

    def finish():
        if test:
            outcome = "fail" if result == "FAILED" else "skip" if skipped else "pass" if result else "fail"
            print(f"{outcome} {suite}.{test} {time.monotonic() - began:.1f}", flush=True)

    for line in sys.stdin.buffer:
        line = line.decode("utf-8", "replace")
        match = BEGINS.match(line)
        if match or line.startswith(("Suite: ", "Run Summary:")):
            finish()
            test, skipped, result, began = None, False, None, time.monotonic()
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
