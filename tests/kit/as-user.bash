# SPDX-License-Identifier: Apache-2.0
#
# For the tests of the kit: it needs no privilege, so root runs it as nobody.
# shellcheck shell=bash

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/kit" "$directory/data"
chmod 755 "$directory" "$directory/kit"

# take FILE...: copies what the test uses to where nobody may read it, too. Its path is then $directory/kit/NAME.
take() {
	cp -L "$@" "$directory/kit"
}

# as_user COMMAND...
as_user() {
	local -a user=()
	if [ "$(id -u)" -eq 0 ]; then
		chown -R nobody: "$directory/data"
		user=(setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs)
	fi
	(cd "$directory/data" && LD_LIBRARY_PATH=$directory/kit${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} HOME=$directory/data "${user[@]}" "$@")
}
