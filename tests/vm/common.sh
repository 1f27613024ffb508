# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts on the host: messages, progress, the cache directory.
# shellcheck shell=bash

# die TEXT: prints one line on stderr and exits with 1.
die() {
	printf '%s: %s\n' "${PROGRAM:-${0##*/}}" "$*" >&2
	exit 1
}

# seconds_since EPOCHREALTIME: with one decimal.
seconds_since() {
	local tenths=$((("${EPOCHREALTIME/[.,]/}" - "${1/[.,]/}") / 100000))
	printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# cpu_seconds FILE: the sum of all that bash's times wrote to it.
cpu_seconds() {
	tr 'ms' '  ' <"$1" | awk '{ for (i = 1; i < NF; i += 2) sum += 60 * $i + $(i + 1) } END { printf "%.0f\n", sum }'
}

# show_step TEXT LOG COMMAND...: runs COMMAND with its output in LOG and shows TEXT with the seconds it takes, counting on
# a terminal. When COMMAND fails, it shows the end of LOG and exits. (It does not return a failure: inside a condition
# bash would ignore errexit in COMMAND, too.)
show_step() {
	local text=$1 log=$2 start=$EPOCHREALTIME pid status=0
	shift 2
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	if [ -t 2 ]; then
		while kill -0 "$pid" 2>/dev/null; do
			printf '\r  %-58s %6s s ' "$text" "$(seconds_since "$start")" >&2
			sleep 0.2
		done
		printf '\r' >&2
	fi
	wait "$pid" || status=$?
	if [ "$status" -ne 0 ]; then
		printf '  %-58s failed after %s s; the end of its output:\n' "$text" "$(seconds_since "$start")" >&2
		tail -n 20 "$log" | sed 's/^/    /' >&2
		die "failed: $text (all of its output: $log)"
	fi
	printf '  %-58s %6s s \n' "$text" "$(seconds_since "$start")" >&2
}

# cache_dir: the directory for files that take long to make.
cache_dir() {
	printf '%s\n' "${TCMUD_VM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tcmud-vm}"
}

# host_release: the Debian release of which the guests are by default, because what this host builds runs there.
host_release() {
	local ID='' VERSION_ID='' VERSION_CODENAME=''
	# shellcheck source=/dev/null
	[ ! -r /etc/os-release ] || . /etc/os-release
	case $ID:$VERSION_CODENAME in
	debian:bookworm | debian:trixie) printf '%s\n' "$VERSION_CODENAME" ;;
	debian:bullseye) printf 'bookworm\n' ;;
	debian:*) printf 'sid\n' ;; # testing and unstable have the same libraries, or nearly
	ubuntu:*) if [ "${VERSION_ID%%.*}" -lt 24 ]; then printf 'bookworm\n'; else printf 'trixie\n'; fi ;;
	*) printf 'bookworm\n' ;;
	esac
}

# need_tools PACKAGE-LIST TOOL...: dies with the names of missing tools and the list to install.
need_tools() {
	local list=$1 tool missing=()
	shift
	for tool in "$@"; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || missing+=("$tool")
	done
	[ ${#missing[@]} -eq 0 ] || die "not installed: ${missing[*]} (install the Debian packages of $list)"
}
