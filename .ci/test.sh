# The verbs that test: unit, golden, fuzz, e2e, test. Sourced by build.sh.

export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export VECTORS_DIR=${VECTORS_DIR:-$ROOT/../shared/vectors}

PASSED=0
LOST=0
closing() { # the line every verb that tests ends with
    printf '%d passed, %d failed\n' "$PASSED" "$LOST"
    [ "$LOST" -eq 0 ]
}

report_uncompiled() { # counts and names what `compile` gave up on
    LOST=$((LOST + $(wc -l <"$OBJ/.failed")))
    say "did not compile: $(tr '\n' ' ' <"$OBJ/.failed")"
}

# ---- unit -----------------------------------------------------------------------------------------------------

# run_unit_one PROGRAM: runs one test program; its output goes to PROGRAM.log, its verdict to PROGRAM.verdict.
# Criterion says nothing in its sums of a leak that LeakSanitizer finds at the end of a test's process, only in a warning.
run_unit_one() {
    local program=$1 name=${1#*/unit/*/} status=0 start=$EPOCHREALTIME
    timeout -k 5 170 "$program" -j1 --color=never --verbose >"$program.log" 2>&1 || status=$?
    awk -v status=$status -v start="$start" -v end="$EPOCHREALTIME" -v name="$name" '
        /Synthesis: Tested:/ { gsub(/[^0-9 ]/, ""); tested = $1; passing = $2 }
        /crashed during its setup or teardown/ { leaked++ }
        /^\[SKIP\]/ { skipped++ }
        END {
            failed = tested - passing
            if (failed < leaked) { passing -= leaked - failed; failed = leaked }
            if (status != 0 && failed == 0) failed = 1
            printf "%d %d %s %.1f %d\n", passing, failed, name, end - start, skipped
        }' "$program.log" >"$program.verdict"
    {
        awk '{ printf "%-6s %-32s %4d passed  %s s%s\n", $2 ? "FAILED" : "ok", $3, $1, $4, $5 ? "  (" $5 " skipped)" : "" }' "$program.verdict"
        sed -n 's/^\[SKIP\]/       skipped/p' "$program.log" | head -n 3
        if [ "$(awk '{ print $2 }' "$program.verdict")" != 0 ]; then
            grep -vE '^\[(RUN |PASS|SKIP|====)|^\[----\] Criterion' "$program.log" | head -n 60 | sed 's/^/    /'
            [ $status -ne 124 ] || echo "    not done after 170 s"
            echo "    alone: ./build.sh unit ${name/test_/}"
        fi
    } >"$program.report"
    cat "$program.report"
}
export -f run_unit_one

unit_files() { # FILTER: test files whose module/file holds it
    local test name
    for test in tests/unit/*/test_*.c; do
        [ -f "$test" ] || continue
        name=${test#tests/unit/}
        name=${name%.c}
        case "$name ${name/test_/}" in *"${1:-}"*) echo "$test" ;; esac
    done
}

# unit_tests FILTER: adds to PASSED and LOST
unit_tests() {
    local filter=${1:-} tests test module modules program file programs=() support objects link=() runnable=()
    mapfile -t tests < <(unit_files "$filter")
    if [ ${#tests[@]} -eq 0 ]; then
        return 0
    fi
    need_compiler
    need criterion
    use "$FLAVOUR"
    # Only what the chosen tests' modules stand on is built: the modules and all layers below them.
    modules=$(for test in "${tests[@]}"; do
        module=${test#tests/unit/}
        modules_below "${module%%/*}" | tr ' ' '\n'
    done | sort -u | grep . | tr '\n' ' ')
    library_objects $modules || report_uncompiled
    mapfile -t support < <(find tests/unit -name '*.c' ! -name 'test_*.c' | sort)
    CFLAGS_MORE='-I. -Itests/unit -Itests -Wno-missing-prototypes' compile "${tests[@]}" ${support[@]+"${support[@]}"} || report_uncompiled
    for test in "${tests[@]}"; do
        module=${test#tests/unit/}
        module=${module%/*}
        [ -f "$OBJ/${test%.c}.o" ] || continue
        program=$BUILD_DIR/unit/${OBJ##*/}/$module/$(basename "$test" .c)
        objects=("$OBJ/${test%.c}.o")
        for file in ${support[@]+"${support[@]}"}; do
            case $file in
            tests/unit/support/* | "tests/unit/$module/"*) [ ! -f "$OBJ/${file%.c}.o" ] || objects+=("$OBJ/${file%.c}.o") ;;
            esac
        done
        mkdir -p "${program%/*}"
        programs+=("$program")
        is_newer_than_all "$program" "${objects[@]}" "$LIBRARY" "$OBJ/flags" || link+=("$program ${objects[*]}")
    done
    if [ ${#link[@]} -gt 0 ]; then
        export CC CFLAGS LDFLAGS LIBRARY LIB_LDFLAGS
        say "linking ${#link[@]} test programs"
        printf '%s\n' "${link[@]}" | xargs -P "$JOBS" -I{} bash -c '
            program=${1%% *}
            rm -f "$program"
            if $CC $CFLAGS $LDFLAGS ${1#* } "$LIBRARY" $LIB_LDFLAGS -lcriterion -lm -o "$program.$$" 2>"$program.link"
            then mv "$program.$$" "$program"
            else head -n 20 "$program.link" >&2
            fi' _ {}
    fi
    for program in ${programs[@]+"${programs[@]}"}; do
        if [ -x "$program" ]; then
            rm -f "$program.verdict"
            runnable+=("$program")
        else
            LOST=$((LOST + 1))
            say "did not link: ${program#*/unit/}"
        fi
    done
    [ ${#runnable[@]} -gt 0 ] || return 0
    printf '%s\n' "${runnable[@]}" | xargs -P "$JOBS" -I{} bash -c 'run_unit_one "$1"' _ {}
    local passed failed rest
    for program in "${runnable[@]}"; do
        read -r passed failed rest <"$program.verdict" || { passed=0 failed=1; }
        PASSED=$((PASSED + passed)) LOST=$((LOST + failed))
    done
}

# ---- golden, fuzz ---------------------------------------------------------------------------------------------

# build_tool NAME OUTPUT SOURCE..: a test or bench program linked against every module that compiles
build_tool() {
    local name=$1 output=$2 source objects=()
    shift 2
    if [ "${TOOLS_OBJ:-}" != "$OBJ" ]; then # once a run
        library_objects $ALL_MODULES || say "going on without $(tr '\n' ' ' <"$OBJ/.failed")"
        TOOLS_OBJ=$OBJ TOOLS_LIBRARY=$LIBRARY
    fi
    CFLAGS_MORE='-I. -Itests/unit -Itests -Wno-missing-prototypes' compile "$@" || {
        say "$name: did not compile: $(tr '\n' ' ' <"$OBJ/.failed")"
        return 1
    }
    for source in "$@" src/core/musl_mem.c; do # the latter by name: link-time optimisation asks for it after archives
        [ ! -f "$OBJ/${source%.c}.o" ] || objects+=("$OBJ/${source%.c}.o")
    done
    if ! is_newer_than_all "$output" "${objects[@]}" "$TOOLS_LIBRARY" "$OBJ/flags"; then
        mkdir -p "${output%/*}"
        if ! $CC $CFLAGS $LDFLAGS ${LDFLAGS_MORE:-} "${objects[@]}" "$TOOLS_LIBRARY" $LIB_LDFLAGS -lm -o "$output.$$"; then
            say "$name: did not link"
            return 1
        fi
        mv "$output.$$" "$output"
    fi
}

# count_closing LOG STATUS: adds the last "N passed, N failed" of a log; without one, the status is one test.
count_closing() {
    local passed=1 failed=0 line
    [ "$2" -eq 0 ] || passed=0 failed=1
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$1" | tail -n 1) || true
    if [ -n "$line" ]; then
        read -r passed _ failed _ <<<"$line"
        [ "$2" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
    fi
    PASSED=$((PASSED + passed)) LOST=$((LOST + failed))
}

# golden_tests FILTER: tests/golden/run_golden.c is given the transcripts whose path holds FILTER
golden_tests() {
    local filter=${1:-} sources files status=0 program
    [ -f tests/golden/run_golden.c ] || return 0
    mapfile -t files < <(find tests/golden -name '*.md' | sort | grep -F -e "$filter")
    [ ${#files[@]} -gt 0 ] || return 0
    need_compiler
    use "$FLAVOUR"
    mapfile -t sources < <(find tests/golden -name '*.c' | sort)
    program=$BUILD_DIR/golden/${OBJ##*/}/run_golden
    build_tool golden "$program" "${sources[@]}" || {
        LOST=$((LOST + 1))
        return 0
    }
    timeout -k 5 170 "$program" "${files[@]}" >"$program.log" 2>&1 || status=$?
    grep -vE '^[0-9]+ passed, ' "$program.log" | if [ $status -eq 0 ]; then tail -n 5; else head -n 200; fi || true
    count_closing "$program.log" $status
}

fuzz_targets() { # FILTER
    local target
    for target in tests/fuzz/fuzz_*.c; do
        [ -f "$target" ] || continue
        target=${target#tests/fuzz/fuzz_}
        case fuzz/${target%.c} in *"${1:-}"*) echo "${target%.c}" ;; esac
    done
}

fuzz_support() {
    find tests/fuzz -maxdepth 1 -name '*.c' ! -name 'fuzz_*.c' ! -name replay.c | sort
}

# replay_tests FILTER: every fuzz target over its seed corpus, as an ordinary program
replay_tests() {
    local targets target program status support corpus
    mapfile -t targets < <(fuzz_targets "${1:-}")
    [ ${#targets[@]} -gt 0 ] || return 0
    need_compiler
    use "$FLAVOUR"
    mapfile -t support < <(fuzz_support)
    CFLAGS_MORE='-I. -Itests/unit -Itests -Wno-missing-prototypes' compile "${targets[@]/#/tests/fuzz/fuzz_}" 2>/dev/null || true
    for target in "${targets[@]}"; do
        program=$BUILD_DIR/fuzz/${OBJ##*/}/$target
        build_tool "fuzz $target" "$program" "tests/fuzz/fuzz_$target.c" tests/fuzz/replay.c ${support[@]+"${support[@]}"} || {
            LOST=$((LOST + 1))
            continue
        }
        status=0 corpus=()
        [ ! -d "tests/fuzz/corpus/$target" ] || corpus=("tests/fuzz/corpus/$target")
        timeout -k 5 120 "$program" ${corpus[@]+"${corpus[@]}"} >"$program.log" 2>&1 || status=$?
        if [ $status -eq 0 ]; then
            PASSED=$((PASSED + 1))
            printf 'ok     %-32s %4d inputs\n' "fuzz/$target" "$(awk 'END { print $1 }' "$program.log")"
        else
            LOST=$((LOST + 1))
            printf 'FAILED %-32s status %d; alone: ./build.sh test fuzz/%s\n' "fuzz/$target" $status "$target"
            tail -n 40 "$program.log" | sed 's/^/    /'
        fi
    done
}

# fuzz_build TARGET: leaves the libFuzzer program in PROGRAM
fuzz_build() {
    local target=$1 support
    [ -f "tests/fuzz/fuzz_$target.c" ] || die "no tests/fuzz/fuzz_$target.c; there are: $(fuzz_targets | tr '\n' ' ')"
    CC=clang-14
    need gcc clang clang-rt
    use fuzz
    mapfile -t support < <(fuzz_support)
    PROGRAM=$BUILD_DIR/fuzz/${OBJ##*/}/$target
    LDFLAGS_MORE=-fsanitize=fuzzer build_tool "fuzz $target" "$PROGRAM" "tests/fuzz/fuzz_$target.c" ${support[@]+"${support[@]}"}
}

do_fuzz() {
    local target=${1:-} seconds=${2:-60} corpus
    [ -n "$target" ] || die "fuzz what? $(fuzz_targets | tr '\n' ' ')"
    fuzz_build "$target" || die "fuzz $target was not built"
    corpus=("$BUILD_DIR/fuzz/corpus/$target")
    mkdir -p "${corpus[0]}" "$BUILD_DIR/fuzz/crashes"
    local options=("-max_total_time=$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
        "-artifact_prefix=$BUILD_DIR/fuzz/crashes/$target-")
    [ ! -f "tests/fuzz/$target.dict" ] || options+=("-dict=tests/fuzz/$target.dict")
    [ ! -d "tests/fuzz/corpus/$target" ] || corpus+=("tests/fuzz/corpus/$target")
    "$PROGRAM" "${options[@]}" "${corpus[@]}" ||
        die "fuzz $target failed; the input is in $BUILD_DIR/fuzz/crashes: once mended it joins tests/fuzz/corpus/$target"
}

# A few seconds of every target, several at a time.
do_fuzz_smoke() {
    local target lost=0 targets
    mapfile -t targets < <(fuzz_targets)
    [ ${#targets[@]} -gt 0 ] || return 0
    for target in "${targets[@]}"; do
        fuzz_build "$target" || lost=$((lost + 1))
    done
    printf '%s\n' "${targets[@]}" | xargs -P "$JOBS" -I{} bash -c '
        log=$1/fuzz/smoke-$2.log
        if "$0" fuzz "$2" "$3" >"$log" 2>&1; then
            printf "ok     fuzz/%-24s %9s runs\n" "$2" "$(sed -n "s/^stat::number_of_executed_units: *//p" "$log")"
        else
            printf "FAILED fuzz/%s\n" "$2"
            grep -v "^#[0-9]" "$log" | tail -n 60 | sed "s/^/    /"
            exit 1
        fi' "$ROOT/build.sh" "$BUILD_DIR" {} "${FUZZ_SECONDS:-4}" || lost=$((lost + 1))
    [ $lost -eq 0 ]
}

# ---- e2e ------------------------------------------------------------------------------------------------------

# e2e_need FILTER..: Python and Node with the pinned packages, kept in the user's cache; sets E2E_PYTHON and E2E_NODE. The
# coding agents are most of a gigabyte and take a minute: they come when FILTER names them, and once in ci (E2E_WITH_AGENTS).
e2e_need() {
    local folder
    need python npm ca curl openssl
    folder=$CACHE/python-$(cat tests/requirements.txt <(python3 --version) | sha256sum | cut -c1-12)
    if [ ! -f "$folder/.complete" ]; then
        say "installing the Python packages of tests/requirements.txt into $folder"
        with_lock "$CACHE" python_install "$folder" || die "pip install failed"
    fi
    export E2E_PYTHON=$folder/bin/python
    node_packages tests
    export E2E_NODE_MODULES=$REPLY/node_modules
    export E2E_NODE=$E2E_NODE_MODULES/.bin/node
    if [ -n "${E2E_WITH_AGENTS:-}" ] || [[ $* == *agent* ]]; then
        node_packages tests/agents
        export E2E_AGENTS=$REPLY/node_modules
    fi
}

python_install() {
    [ ! -f "$1/.complete" ] || return 0
    rm -rf "$1" && python3 -m venv "$1" &&
        "$1/bin/pip" install -q --disable-pip-version-check --no-deps -r tests/requirements.txt >&2 && touch "$1/.complete"
}

# node_packages FOLDER: installs what its package-lock.json pins into the user's cache; leaves the place in REPLY
node_packages() {
    REPLY=$CACHE/node-$(tr / - <<<"$1")-$(cat "$1/package.json" "$1/package-lock.json" | sha256sum | cut -c1-12)
    [ ! -f "$REPLY/.complete" ] || return 0
    say "installing the Node packages of $1/package.json into $REPLY"
    with_lock "$CACHE" node_install "$1" "$REPLY" || die "npm ci for $1 failed"
}

# Optional packages are binaries for other machines and terminals: nothing here needs one.
node_install() {
    [ ! -f "$2/.complete" ] || return 0
    rm -rf "$2" && mkdir -p "$2" && cp "$1/package.json" "$1/package-lock.json" "$2/" &&
        (cd "$2" && npm ci --omit=optional --no-audit --no-fund --loglevel=error >&2) && touch "$2/.complete"
}

# e2e_tests FILTER: runs tests/e2e/run.sh with R2A_BIN (the program: of FLAVOUR, unless the caller names one), E2E_PYTHON,
# E2E_NODE, E2E_NODE_MODULES, E2E_AGENTS and E2E_TMP. It ends with "N passed, N failed".
e2e_tests() {
    local status=0
    [ -f tests/e2e/run.sh ] || return 0
    if [ -z "${R2A_BIN:-}" ]; then
        do_build "$FLAVOUR"
        R2A_BIN=$PROGRAM_OUTPUT
        [ -f src/main/main.c ] || return 0
    fi
    R2A_BIN=$(absolute "$R2A_BIN")
    e2e_need "$@"
    E2E_TMP=$(absolute "$BUILD_DIR/e2e")
    export R2A_BIN E2E_TMP R2A_FLAVOUR=$FLAVOUR
    mkdir -p "$E2E_TMP"
    bash tests/e2e/run.sh "$@" 2>&1 | tee "$E2E_TMP/log" || status=1
    count_closing "$E2E_TMP/log" $status
}

# ---- verbs ----------------------------------------------------------------------------------------------------

do_unit() {
    unit_tests "${1:-}"
    matched "${1:-}"
    closing
}

do_golden() {
    golden_tests "${1:-}"
    closing
}

do_e2e() {
    e2e_tests "$@"
    closing
}

matched() { # a filter that fits nothing is a mistake, not a success
    if [ -n "$1" ] && [ $((PASSED + LOST)) -eq 0 ]; then
        say "nothing matches '$1'"
        LOST=1
    fi
}

do_pure() { # what needs no socket
    unit_tests "${1:-}"
    golden_tests "${1:-}"
    replay_tests "${1:-}"
    closing
}

do_test() {
    local filter=${1:-} start=$SECONDS
    unit_tests "$filter"
    golden_tests "$filter"
    replay_tests "$filter"
    e2e_tests ${filter:+"$filter"}
    matched "$filter"
    say "took $((SECONDS - start)) s"
    closing
}
