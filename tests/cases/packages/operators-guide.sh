#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The operator's guide can be followed as it is printed: each of its lines is typed in a fresh guest, and nothing else.
# vm: init=systemd packages=yes timeout=900 disk=2G

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/packages/typed.bash
. "${0%/*}/typed.bash"

find_scratch_disk
must mkfs.xfs -q "$SCRATCH"
must mount "$SCRATCH" /srv
type_page docs/operators-guide.md
exists /srv/images/disk.img || fail "the image was removed"
not exists "$CORE/user_0" || fail "the backstore is still there"
