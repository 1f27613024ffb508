#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same random commands to our disk and to one of the kernel's own fileio backstore. Same data, status and sense; each
# difference is explained in differential.py. SEED=N (tests/vm/run --env) is another sequence.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
make_backstore ours /srv/ours.img 8M
tcli /backstores/fileio create name=reference file_or_dev=/srv/reference.img size=8M
tcli /backstores/fileio/reference set attribute emulate_tpu=1 emulate_tpws=1 max_unmap_block_desc_count=32
attach ours
ours=$DISK
attach reference
must python3 -SE "$CASES/conformance/differential.py" "$ours" "$DISK" $((8 * 2048)) 3000 "${SEED:-1}"
say "$OUTPUT"
detach reference
detach ours
delete_backstore ours
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
