#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The I/O engine's unit tests pass on the guest's kernel too, in memory and on a disk: io_uring is as it is taken to be.
# vm: disk=256M
# vm: timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

passes() { # TEST
	say "test-$1 in ${TMPDIR:-/tmp}"
	"/host/build/tests/unit/test-$1"
}

scratch_disk ext4
for test in base-jobs aio aio-workers aio-engine aio-failures; do
	passes $test
done
export TMPDIR=/scratch
passes aio
passes aio-engine
