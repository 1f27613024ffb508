#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The operator's guide can be followed as it is printed: each of its lines is typed in a fresh guest, and nothing else. The
# commands of the README and of the manual pages are typed after it, where there is what they presume: a volume, an image and a
# device called disk.
# vm: init=systemd packages=yes timeout=1200 disk=2G

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

rm -r /srv/images /srv/disk.snapshot.img
type_page README.md
truncate -s 10G /srv/volume
must losetup --find --show /srv/volume
mkdir /dev/vg0
ln -s "$OUTPUT" /dev/vg0/disk2
truncate -s 4G /srv/install.iso
tcli /backstores/user:file create name=disk size=64M cfgstring=/srv/disk.img
type_manual handlers/file/tcmu-file.7
type_manual handlers/null/tcmu-null.7
type_manual handlers/ram/tcmu-ram.7
type_manual docs/man/tcmuctl.8
type_manual docs/man/tcmud-metrics.7
type_manual docs/man/tcmud-events.7
for name in disk disk1 disk2 disk3; do delete_backstore $name; done
SUBTYPE=null delete_backstore bench
for name in scratch large; do SUBTYPE=ram delete_backstore $name; done
