#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Random commands have the same data, status and sense on a disk of tcmud as on one of the kernel's fileio backstore; each
# difference is explained in differential.py. SEED=N (tests/vm/run --env) selects another sequence.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
make_backstore tested /srv/tested.img 8M
tcli /backstores/fileio create name=reference file_or_dev=/srv/reference.img size=8M
tcli /backstores/fileio/reference set attribute emulate_tpu=1 emulate_tpws=1 max_unmap_block_desc_count=32
attach tested
tested=$DISK
attach reference
must python3 -SE "$CASES/conformance/differential.py" "$tested" "$DISK" $((8 * 2048)) 3000 "${SEED:-1}"
say "$OUTPUT"
detach reference
detach tested
delete_backstore tested
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
