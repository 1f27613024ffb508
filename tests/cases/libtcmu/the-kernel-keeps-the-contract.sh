#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel behaves as libtcmu's fakes do: events and replies, uio after unregistration, a module that is loaded again.
# vm: smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

must /host/build/tests/guest-programs/kernel-contract
assert_match "$OUTPUT" 'all checks passed' "the last line of the program"
