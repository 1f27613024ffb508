# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests that type a page of the documentation, line by line, and nothing else: the page as the packages install it.

# type_installed FILE: a file of the package tcmud. The shell starts where the packages are.
type_installed() {
	say "the page $1, typed"
	dpkg-deb --fsys-tarfile /var/packages/tcmud_*.deb >/run/tcmud.tar
	if tar -tf /run/tcmud.tar "./$1.gz" &>/dev/null; then
		tar -xOf /run/tcmud.tar "./$1.gz" | gzip -dc >/run/page
	else
		tar -xOf /run/tcmud.tar "./$1" >/run/page
	fi
	rm /run/tcmud.tar
	python3 -ISE "$CASES/packages/typist.py" /var/packages </run/page || fail "the page $1 cannot be followed"
}

# type_page PAGE: README.md or docs/NAME.md.
type_page() { type_installed "usr/share/doc/tcmud/${1##*/}"; }

# type_manual PAGE: DIRECTORY/NAME.SECTION; its displayed commands.
type_manual() { type_installed "usr/share/man/man${1##*.}/${1##*/}"; }
