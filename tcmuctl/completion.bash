# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# bash completion of tcmuctl: commands, options, and the devices that the daemon has now.

_tcmuctl_devices() {
	tcmuctl --json list 2>/dev/null | sed -n 's/^ *"device": "\(.*\)",$/\1/p'
}

_tcmuctl() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i
	COMPREPLY=()
	case $before in
	-f | --format)
		mapfile -t COMPREPLY < <(compgen -W 'openmetrics prometheus' -- "$word")
		return
		;;
	-o | --output | -s | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	-i | --interval | -c | --count) return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-*) ;;
		check | dump | fenced | handlers | health | inflight | list | log-level | metrics | reopen | stats | status | top) command=${COMP_WORDS[i]} ;;
		esac
	done
	case $word,$command in
	-*) words='--count --format --help --interval --json --output --socket --version' ;;
	*,) words='check dump fenced handlers health inflight list log-level metrics reopen stats status top' ;;
	*,inflight | *,reopen | *,stats | *,status) words=$(_tcmuctl_devices) ;;
	*,log-level) words='0 1 2 3 4 5' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _tcmuctl tcmuctl
