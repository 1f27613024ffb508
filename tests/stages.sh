# SPDX-License-Identifier: Apache-2.0
#
# The stages of ./check: title, requirements and commands. A stage is a function that runs in the project's directory with
# its output in a log and errexit on. It reports its results by count; a status other than 0 fails it, too.
#
# From ./check: project, build (directory of the builds), logs, cpus, quick.
# shellcheck shell=bash disable=SC2034,SC2154

# In the order in which they start.
stages=(format build shell lint vm newest quickstart conformance packages ceph cost tidy fuzz tsan asan coverage unit sim model install clang analyzer cppcheck)
quick_stages=(format shell lint build tidy unit install analyzer clang cppcheck asan fuzz)

declare -A title=(
	[format]="clang-format over the C sources"
	[shell]="shellcheck over the scripts"
	[lint]="the rules of the house, and that each of them, and this check, can fail"
	[build]="build with gcc"
	[vm]="tests on a real kernel, in guests"
	[newest]="a teardown on the newest kernel of Debian, if it can be fetched"
	[conformance]="libiscsi's test suite, in a guest"
	[packages]="Debian's packages: built, checked by lintian, installed in guests"
	[cost]="the instructions of an I/O, counted in a guest"
	[unit]="unit tests"
	[sim]="simulated lives of the daemon, in any order of events"
	[model]="a model of the lock that gateways share, searched by spin"
	[quickstart]="the demo of ./quickstart"
	[install]="the installed files; a plugin built outside of the tree; what configure refuses and leaves out; no run outlives its killed program"
	[ceph]="the rbd handler on a real Ceph cluster, without guests and in guests"
	[analyzer]="gcc -fanalyzer"
	[clang]="build with clang, unit tests"
	[tidy]="clang-tidy"
	[cppcheck]="cppcheck"
	[asan]="unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	[tsan]="unit tests under ThreadSanitizer"
	[coverage]="which branches the unit tests take"
	[fuzz]="libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer, and with MemorySanitizer"
)
declare -A after=([unit]=build [sim]=build [cost]=build [ceph]=build [vm]=build [newest]=build [conformance]=build [packages]=build [quickstart]=build)
# These run tests in guests, which wait more than they compute: two of them leave time for a stage that only computes.
declare -A guests=([vm]=1 [newest]=1 [quickstart]=1 [conformance]=1 [packages]=1 [ceph]=1 [cost]=1)

# ---- shared by stages ----

# count PASSED FAILED [NAME...]: adds to the counts of the stage; the verdict shows the names of the failures.
count() {
	printf '%s\n' "$*" >>"$logs/$stage.count"
}

# skip REASON: the stage tests nothing, through no fault of the tree. The verdict shows the reason; nothing is counted.
skip() {
	printf '%s\n' "$*" >"$logs/$stage.skipped"
}

# is_judged_by TOOL VERSION: the tool that is installed is of that version; a condition. The complaints of such a tool differ by
# its version, and the tree follows one. With another the stage is skipped.
is_judged_by() {
	local version
	version=$("$1" --version | sed -nE 's/^.*(version:?|Cppcheck|\)) ([0-9.]+).*/\2/p' | sed -n 1p)
	case $version in "$2" | "$2".*) return 0 ;; esac
	skip "$1 $version, and the tree is judged by $1 $2, that of Debian 12"
	return 1
}

# nicely COMMAND...: runs it at a low priority, because the tests in guests have deadlines.
nicely() {
	nice -n 10 "$@"
}

# tracked PATTERN...: the tracked files, NUL-terminated.
tracked() {
	git -c safe.directory='*' ls-files -z -- "$@"
}

# build_preset PRESET [TARGET [CMAKE-OPTION...]]: configures and builds.
build_preset() {
	nicely cmake --preset "$1" -B "$build/$1" "${@:3}"
	nicely cmake --build "$build/$1" -j "$cpus" ${2:+--target "$2"} -- -k 0
	count 1 0
}

# test_preset PRESET [CTEST-ARGUMENT...]: runs the unit tests and counts them. A test that did not run has failed; so has
# one that leaves something outside of its temporary directory.
test_preset() {
	local preset=$1 report=$logs/$stage-$1.xml status=0
	local -a bad
	shift
	nicely tests/check/leaves-nothing ctest --test-dir "$build/$preset" --output-on-failure --no-tests=error --output-junit "$report" -j "$cpus" "$@" || status=$?
	mapfile -t bad < <(sed -nE -e '/ status="run">/d' -e 's/^\t<testcase name="([^"]+)".*/\1/p' "$report")
	count "$(grep -c '^	<testcase .* status="run">' "$report")" ${#bad[@]} "${bad[@]}"
	return $status
}

# totals_of COMMAND...: runs a command that ends with "N passed, N failed" and prints lines FAIL NAME..., and counts these.
totals_of() {
	local output=$logs/$stage.output status=0 good bad
	"$@" 2>&1 | tee "$output" || status=$?
	read -r good bad < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$output" | tail -n 1)
	count "${good:-0}" "${bad:-1}" "$(sed -nE 's/^FAIL ([^ ]+).*/\1/p' "$output" | paste -sd' ')"
	return $status
}

# ---- the stages ----

stage_format() {
	is_judged_by clang-format 14.0.6 || return 0
	tracked '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
	count 1 0
}

stage_shell() {
	local -a scripts
	mapfile -t scripts < <(tracked | xargs -0 awk 'FNR == 1 && (/^#!.*sh$/ || FILENAME ~ /\.(ba)?sh$/) { print FILENAME } { nextfile }')
	is_judged_by shellcheck 0.9 || return 0
	shellcheck --format=gcc "${scripts[@]}"
	count 1 0
}

stage_lint() {
	totals_of tests/lint/run
	totals_of tests/check/self-test
}

stage_sim() {
	local -x TCMUD_SIM_BUILD=$build/release
	totals_of nicely tests/sim/run --lives 10000
	totals_of nicely tests/sim/old-bugs
	totals_of nicely tests/sim/mutants --short
}

stage_model() {
	totals_of nicely tests/model/run
}

stage_build() {
	build_preset release
}

stage_unit() {
	test_preset release
}

# tests_with OPTION: the guest tests whose headers have this option.
tests_with() {
	grep -lE "^# vm:(.* )?$1( |\$)" tests/cases/*/*.sh | sed -E 's,^tests/cases/(.*)\.sh$,\1,'
}
# guest_tests: the names of the tests that run in guests, but for those that are run on demand.
guest_tests() {
	tests/vm/run --list | cut -d' ' -f1 | grep -vxFf <(tests_with check=no)
}
# The tests of other stages.
own_stage='^(demo|packages|container|ceph|ceph-second)/|/iscsi-test-cu$'

stage_conformance() {
	totals_of tests/vm/run --build "$build/release" conformance/iscsi-test-cu
}

# The teardown tests are the longest, so they come first. Three guests ask for the machine's slots, because one that waits for
# a time limit of the kernel takes none.
stage_vm() {
	local -a cases
	local others
	others=$(guest_tests | grep -vE "$own_stage")
	mapfile -t cases < <(grep ^teardown/ <<<"$others" && grep -v ^teardown/ <<<"$others")
	totals_of tests/vm/run -j 3 --build "$build/release" "${cases[@]}"
	tests/vm/self-test
	count 1 0
}

# Sid's kernel changes without us, and a mirror may not have it for some hours. So a kernel that cannot be fetched skips the
# stage, visibly. A kernel that was fetched and does not boot fails it.
stage_newest() {
	local status=0
	timeout 300 tests/vm/build-image --kernel sid >"$logs/$stage.image" 2>&1 || status=$?
	cat "$logs/$stage.image"
	if [ $status -ne 0 ]; then
		skip "sid's kernel cannot be fetched: $(tail -n 1 "$logs/$stage.image")"
		return
	fi
	totals_of tests/vm/run --build "$build/release" --accel icount --kernel sid teardown/no-event
}

# Debian's kernel and fio change without us. Then the stage is skipped, visibly, until somebody records the new counts.
stage_cost() {
	local status=0
	totals_of nicely tests/bench/exact --guard --build "$build/release" || status=$?
	if [ $status -eq 0 ] && grep -q '^not comparable: ' "$logs/$stage.output"; then
		: >"$logs/$stage.count"
		skip "$(grep '^not comparable: ' "$logs/$stage.output")"
	fi
	return $status
}

stage_packages() {
	local -a cases
	totals_of nicely tests/packages/run
	mapfile -t cases < <(guest_tests | grep ^packages/ | grep -vxF packages/replaces-tcmu-runner)
	totals_of tests/vm/run --build "$build/release" --env LUNS=10 "${cases[@]}"
	totals_of tests/ceph/guests --build "$build/release" packages/replaces-tcmu-runner
}

stage_quickstart() {
	./quickstart --guest
	count 1 0
}

stage_install() {
	totals_of nicely tests/install/run
	totals_of nicely tests/hosts/configure
	totals_of nicely tests/hosts/killed
}

stage_ceph() {
	totals_of tests/ceph/run --build "$build/release" # these have deadlines, too
	totals_of tests/ceph/guests --build "$build/release"
}

# The preset leaves out the tests, which break rules on purpose, and two checks of the analyzer, which have false positives in
# gcc 12 for reference counts and for members that are set under a condition. The sanitizers and clang-tidy find the same
# errors.
stage_analyzer() {
	is_judged_by gcc 12 || return 0
	build_preset analyzer
}

stage_clang() {
	build_preset clang
	test_preset clang
}

# Writes compile_commands.json for clang-tidy and cppcheck; builds nothing.
compile_commands() {
	cmake --preset clang -B "$logs/$stage"
}

# A quarter of the paths that the static analyzer follows by default take a third of the time. clang-tidy by hand follows all.
stage_tidy() {
	is_judged_by clang-tidy 14 || return 0
	local -a sources depth=(--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=60000)
	compile_commands
	# sized.c has a header that the build makes, and nothing is built.
	mapfile -t sources < <(tracked '*.c' ':!tests/plugins/sized.c' | while IFS= read -r -d '' source; do
		! grep -qF "/$source\"" "$logs/$stage/compile_commands.json" || printf '%s\n' "$source"
	done)
	printf '%s\n' "${sources[@]}" | nicely xargs -n 2 -P "$cpus" clang-tidy -p "$logs/$stage" --quiet "${depth[@]}"
	count 1 0
}

stage_cppcheck() {
	is_judged_by cppcheck 2.10 || return 0
	compile_commands
	# sized.c has a header that the build makes, and nothing is built.
	nicely cppcheck --project="$logs/$stage/compile_commands.json" --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=varFuncNullUB --suppress=syntaxError:*/tests/plugins/sized.c --error-exitcode=1 --template=gcc --quiet -j "$cpus"
	count 1 0
}

stage_asan() {
	build_preset asan
	test_preset asan
}

stage_tsan() {
	build_preset tsan
	test_preset tsan -LE fuzz -E '^unit-(scsi-|wait-wait-tuner$)' # these have one thread, and so have the fuzz targets
}

stage_coverage() {
	build_preset coverage
	find "$build/coverage" -name '*.gcda' -delete # of earlier runs
	nicely ctest --test-dir "$build/coverage" --output-on-failure -j "$cpus" -LE fuzz
	totals_of tests/coverage/report "$build/coverage"
}

stage_fuzz() {
	local runs=200000 # the ring has a weight of ten
	if [ "$quick" = yes ]; then runs=10000; fi
	build_preset fuzz tests/fuzz/all -DTCMUD_FUZZ_RUNS=$runs
	test_preset fuzz -L fuzz
	build_preset fuzz-msan tests/fuzz/all -DTCMUD_FUZZ_RUNS=$((runs / 10))
	test_preset fuzz-msan -L memory
}
