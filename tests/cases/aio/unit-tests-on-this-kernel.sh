#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The unit tests of the aio layer pass on the guest's kernel, too, in memory and on a disk: io_uring behaves as expected.
# vm: disk=256M
# vm: timeout=300 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

run_unit_test() { # NAME
	say "test-$1 in ${TMPDIR:-/tmp}"
	"/host/build/tests/unit/test-$1"
}

scratch_disk ext4
for test in base-jobs aio aio-workers aio-engine aio-failures; do
	run_unit_test $test
done
export TMPDIR=/scratch
run_unit_test aio
run_unit_test aio-engine
