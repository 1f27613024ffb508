#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The page from nothing to a LUN with a password can be followed as it is printed: each of its lines is typed in a fresh guest,
# and nothing else. The password counts: without it nobody logs in.
# vm: init=systemd packages=yes timeout=900

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/packages/typed.bash
. "${0%/*}/typed.bash"

type_page docs/first-lun.md
not exists "$CORE/user_0" || fail "the backstore is still there"
