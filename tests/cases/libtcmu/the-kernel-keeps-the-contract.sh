#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel does what libtcmu's fakes claim of it: events and answers, uio after unregistration, a module that comes back.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

must /host/build/tests/guest-programs/kernel-contract
assert_match "$OUTPUT" 'all checks passed' "the last line of the program"
