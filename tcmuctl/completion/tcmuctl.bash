# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# bash completion of tcmuctl: the words come from "tcmuctl complete".

_tcmuctl() {
	local line word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	while IFS= read -r line; do
		if [ "$line" = :files ]; then
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
		fi
		COMPREPLY+=("$(printf %q "${line%%$'\t'*}")")
	done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	# After these more of the same word is to follow.
	case ${COMPREPLY[*]} in *[=/]) compopt -o nospace ;; esac
}

complete -F _tcmuctl tcmuctl
