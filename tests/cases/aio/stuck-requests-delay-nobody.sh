#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Requests that are stuck in a frozen file system delay neither calls of the aio layer nor reads, and are cancelled where
# possible.
# vm: disk=256M
# vm: hung_task=200 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

scratch_disk ext4
must /host/build/tests/guest-programs/aio-stuck /scratch/file
say "$OUTPUT"
assert_match "$OUTPUT" 'all checks passed' "the last line of the program"
