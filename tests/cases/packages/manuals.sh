#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The commands that the README and the manual pages display work as they are printed, where there is what the pages presume: a volume, an image
# and a device called disk.
# vm: init=systemd packages=yes timeout=900

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/packages/typed.bash
. "${0%/*}/typed.bash"

must dpkg --install /var/packages/{libtcmu3,tcmud}_*.deb
type_page README.md
truncate -s 10G /srv/volume
must losetup --find --show /srv/volume
mkdir /dev/vg0
ln -s "$OUTPUT" /dev/vg0/disk2
truncate -s 4G /srv/install.iso
tcli /backstores/user:file create name=disk size=64M cfgstring=/srv/disk.img
type_manual handlers/file/tcmu-file.7
type_manual handlers/null/tcmu-null.7
type_manual docs/man/tcmuctl.8
type_manual docs/man/tcmud-metrics.7
type_manual docs/man/tcmud-events.7
for name in disk disk1 disk2 disk3; do delete_backstore $name; done
SUBTYPE=null delete_backstore bench
