#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: an assertion does not hold.

# shellcheck source=tests/cases/lib.sh
. /host/tests/cases/lib.sh
assert_eq 1 2 "one"
