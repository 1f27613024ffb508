# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# For the scripts that build packages: their reports, and Debian's packages, built from the tracked files and checked by
# lintian. The caller sets project.

passed=0
failed=0
version=$(sed -nE 's/^project\(tcmud VERSION ([0-9.]+).*/\1/p' "$project/CMakeLists.txt")

# test_that WHAT COMMAND...: counts whether it succeeds.
test_that() {
	local what=$1 output
	shift
	if output=$("$@" 2>&1); then
		printf 'PASS %s\n' "$what"
		passed=$((passed + 1))
	else
		printf 'FAIL %s\n' "$what"
		printf '    %s\n' "${output//$'\n'/$'\n    '}"
		failed=$((failed + 1))
	fi
}

# verdict: prints the totals; fails if a test has failed.
verdict() {
	printf '%d passed, %d failed\n' $passed $failed
	[ $failed -eq 0 ]
}

# copy_source DIR: the tracked files as DIR/tcmud-VERSION, and as the release's archive that Debian's source package wants.
# The archive has no debian/, which the package adds.
copy_source() {
	mkdir -p "$1/tcmud-$version"
	(cd "$project" && git -c safe.directory='*' ls-files -z | xargs -0 cp --parents -t "$1/tcmud-$version")
	tar -C "$1" --exclude="tcmud-$version/debian" --sort=name --mtime=@0 --owner=root:0 --group=root:0 \
		-czf "$1/tcmud_$version.orig.tar.gz" "tcmud-$version"
}

# build_deb DIR OPTION...: the packages in DIR, and DIR/build.log. An installed file that is in no package fails the build
# (dh_missing), and so does a symbol of the library that debian/libtcmu3.symbols has not (dpkg-gensymbols).
build_deb() {
	(cd "$1/tcmud-$version" && dpkg-buildpackage --no-sign "${@:2}") >"$1/build.log" 2>&1 || { tail -n 40 "$1/build.log" && return 1; }
}

# Everything that lintian says counts. An override has its reason beside it. Tags that cannot be overridden, because other
# releases of lintian do not have them, are here. Debian 12 does not know all architectures of Debian, and wants a script for
# another init: that init, or the entry point of a container, runs the daemon itself, which stays in the foreground and needs
# nothing that a script sets up. Newer releases want fields and formats that Debian 12 does not know.
suppressed=(
	initial-upload-closes-no-bugs # these packages are not uploaded to Debian
	# The CMakeLists.txt of the templates are no documentation, as newer ones know. Below /usr/share/doc they would be compressed.
	package-contains-documentation-outside-usr-share-doc
	newer-standards-version out-of-date-standards-version # each lintian knows another newest version of the policy
	unknown-architecture package-supports-alternative-init-but-no-init.d-script
	older-debian-watch-file-standard package-uses-old-debhelper-compat-version redundant-priority-optional-field
	redundant-rules-requires-root-no-field
)

# lintian_is_silent CHANGES: it refuses to suppress a tag that it does not know. The rules are Debian's on Ubuntu, too, whose
# own want an upload to a release of Ubuntu.
lintian_is_silent() {
	local tag known=
	for tag in "${suppressed[@]}"; do
		[ -z "$(find /usr/share/lintian/tags -name "$tag.tag")" ] || known+=${known:+,}$tag
	done
	# That of Ubuntu 22.04 wants an interpreter in the files of debug symbols.
	case $(lintian --print-version) in 2.114.*) known+=${known:+,}elf-error ;; esac
	lintian --profile debian --allow-root --display-info --pedantic --display-experimental --suppress-tags "$known" \
		--fail-on error,warning,info,pedantic,experimental "$1"
}
