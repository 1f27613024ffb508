# SPDX-License-Identifier: Apache-2.0
#
# fish completion of tcmuctl: the words come from "tcmuctl complete".

function __tcmuctl_complete
    set -l words (commandline -opc)
    set -l found ($words[1] complete -- $words[2..] (commandline -ct) 2>/dev/null)
    if test "$found" = :files
        __fish_complete_path (commandline -ct)
    else
        string join \n -- $found
    end
end

complete -c tcmuctl -f -a '(__tcmuctl_complete)'
