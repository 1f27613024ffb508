#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: an assertion fails.

# shellcheck source=tests/cases/lib.sh
. /host/tests/cases/lib.sh
assert_eq 1 2 "one"
