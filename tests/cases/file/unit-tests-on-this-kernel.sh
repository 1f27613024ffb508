#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The file handler's unit tests pass on the guest's kernel, too, on ext4 and on XFS.
# vm: disk=512M
# vm: timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

TCMUD_TEST_HANDLERS=$(handler_dir)
export TCMUD_TEST_HANDLERS
for type in ext4 xfs; do
	scratch_disk $type
	cd /scratch
	for test in io open direct block system; do
		say "test-file-$test on $type"
		must "/host/build/tests/unit/test-handlers-file-$test"
	done
	cd /
	must umount /scratch
	must wipefs -aq "$SCRATCH"
done
