#!/usr/bin/env bash
# Builds, tests and packs ring2api. Plain shell, incremental, parallel, no configure step; run it without an
# argument to see its verbs. Sources are found by themselves: src/<module>/**/*.c is the program, src/main its entry,
# tests/unit/<module>/test_<file>.c one test program each, tests/fuzz/fuzz_<file>.c one fuzz target each.
#
# Environment: BUILD_DIR (default build), CC (default gcc), JOBS, FLAVOUR (of what unit, golden and test run:
# debug, release, asan), BEARSSL_SRC and LIBURING_SRC (a folder or tarball to build instead of the pinned source),
# CFLAGS_EXTRA (appended to every compile).
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$ROOT"
export LC_ALL=C

BUILD_DIR=${BUILD_DIR:-build}
CC=${CC:-gcc}
JOBS=${JOBS:-$(nproc 2>/dev/null || echo 2)}
FLAVOUR=${FLAVOUR:-debug}
DEPS=$ROOT/build/deps                                     # built libraries and their sources; survives `clean`
CACHE=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ring2api    # what tests install: Node and Python packages

WARNINGS='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wswitch-enum -Werror'
# Modules from the lowest layer up, a layer a line; one may include only lower lines, or itself.
LAYERS='core
net http json ir
proto
provider
gateway
main'

say() { printf '%s\n' "== $*" >&2; }
die() {
    printf '%s\n' "build.sh: $*" >&2
    exit 1
}

. "$ROOT/third_party/recipe.sh"

usage() {
    cat <<'EOF'
usage: ./build.sh VERB

  run [ARG..]          build and start the gateway: ring2api serve ARG..
  build [FLAVOUR]      release (default: leaves build/ring2api), debug, asan, tsan or cov
  test [FILTER]        everything a change needs: unit, golden, fuzz corpora, e2e
  unit [FILTER]        unit tests of a module or a file: unit json, unit json/scan
  golden [FILTER]      transcripts of the dialects
  e2e [FILTER]         the built program under real clients
  sim [SEED]           the gateway on the simulated engine
  ci                   both compilers, sanitizers, lint, fuzz smoke, dist, smoke test of the static binary
  fuzz TARGET [SECS]   libFuzzer with ASan and UBSan on tests/fuzz/fuzz_TARGET.c (default 60 s)
  count [--update]     instruction counts of the pure modules against bench/counts.txt
  bench [ARG..]        bench/run.sh on the binary that dist makes
  fmt [--check]        clang-format
  lint                 layering, banned calls, headers, format
  dist                 static stripped build/dist/ring2api, root-filesystem tarball, seccomp profile
  clean                remove what was built (build/deps, the libraries, stays; clean --all removes it too)

examples:
  ./build.sh run                       the echo provider on 127.0.0.1:3000
  ./build.sh unit json/scan            one file's tests
  FLAVOUR=asan ./build.sh test         everything under ASan and UBSan
EOF
}

# ---- What the machine must have -------------------------------------------------------------------------------

# need WHAT..: installs what is missing of the named groups, after saying so.
need() {
    local what missing=()
    for what; do
        case $what in
        gcc) { command -v gcc && [ -f /usr/include/stdio.h ]; } >/dev/null || missing+=(gcc libc6-dev) ;;
        clang) command -v clang-14 >/dev/null || missing+=(clang-14 libclang-rt-14-dev lld-14 llvm-14) ;;
        clang-rt) compgen -G '/usr/lib/llvm-14/lib/clang/14*/lib/linux/libclang_rt.fuzzer-x86_64.a' >/dev/null ||
            missing+=(libclang-rt-14-dev) ;;
        format) command -v clang-format-14 >/dev/null || missing+=(clang-format-14) ;;
        musl) command -v musl-gcc >/dev/null || missing+=(musl-tools) ;;
        criterion) [ -f /usr/include/criterion/criterion.h ] || missing+=(libcriterion-dev) ;;
        unpack) command -v xz >/dev/null || missing+=(xz-utils) ;;
        file) command -v file >/dev/null || missing+=(file) ;;
        curl) command -v curl >/dev/null || missing+=(curl) ;;
        jq) command -v jq >/dev/null || missing+=(jq) ;;
        openssl) command -v openssl >/dev/null || missing+=(openssl) ;;
        git) command -v git >/dev/null || missing+=(git) ;;
        valgrind) command -v valgrind >/dev/null || missing+=(valgrind) ;;
        ca) [ -s /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates) ;;
        python) python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv) ;;
        npm) command -v npm >/dev/null || missing+=(npm) ;;
        bench)
            command -v wrk >/dev/null || missing+=(wrk)
            [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
            [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
            ;;
        uring-dev) [ -f /usr/include/liburing.h ] || missing+=(liburing-dev) ;;
        bearssl-dev) [ -f /usr/include/bearssl.h ] || missing+=(libbearssl-dev) ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "missing; under Debian's names: ${missing[*]}. Install them and try again."
    local root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "missing: ${missing[*]}. Without root or sudo: have them installed by apt-get install ${missing[*]}"
        root=(sudo)
    fi
    say "installing by apt-get: ${missing[*]}"
    mkdir -p "$BUILD_DIR"
    {
        "${root[@]}" apt-get -q update &&
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"
    } >"$BUILD_DIR/apt.log" 2>&1 || {
        tail -n 20 "$BUILD_DIR/apt.log" >&2
        die "apt-get install ${missing[*]} failed"
    }
}

need_compiler() {
    case $CC in
    gcc) need gcc ;;
    clang-14) need gcc clang ;;
    *) command -v "${CC%% *}" >/dev/null || die "no compiler $CC" ;;
    esac
}

# need_libraries LIBC: sets LIB_CFLAGS and LIB_LDFLAGS for liburing and BearSSL. The source build is preferred (our
# flags, a known version); without a source a glibc build takes the distribution's packages.
need_libraries() {
    local libc=$1 name version
    LIB_CFLAGS='' LIB_LDFLAGS=''
    need gcc unpack
    for name in liburing bearssl; do
        if with_lock "$DEPS" library $name "$libc"; then
            version=$(<"$REPLY/version")
            LIB_CFLAGS+=" -isystem $REPLY/include $(<"$REPLY/defines")"
            LIB_LDFLAGS+=" $REPLY/lib/lib${name}.a"
            LIB_LDFLAGS=${LIB_LDFLAGS/libliburing/liburing}
        else
            [ "$libc" = glibc ] || die "no source of $name: give it by ${name^^}_SRC=FOLDER or TARBALL"
            case $name in liburing) need uring-dev ;; *) need bearssl-dev ;; esac
            say "no source of $name; using the system's"
            version=system
            LIB_LDFLAGS+=" -l:lib${name#lib}.a"
        fi
        LIB_CFLAGS+=" -DR2A_${name^^}_VERSION=\"$version\""
    done
}

with_lock() { # FOLDER COMMAND..
    local folder=$1 status=0
    shift
    mkdir -p "$folder"
    exec 9>"$folder/.lock"
    flock 9
    "$@" || status=$?
    exec 9>&-
    return $status
}

# ---- Compiling ------------------------------------------------------------------------------------------------

# use FLAVOUR: sets CFLAGS, LDFLAGS, AR and OBJ (the folder of this flavour's objects) for the compiler in CC.
use() {
    local flavour=$1 clang=false
    case $CC in *clang*) clang=true ;; esac
    CFLAGS="-std=c17 -D_GNU_SOURCE $WARNINGS -g -fPIE -fno-strict-aliasing -fstack-protector-strong"
    CFLAGS="-std=c17 -D_GNU_SOURCE $WARNINGS -g -fstack-protector-strong -Iinclude"
    LDFLAGS='-pthread -Wl,-z,relro,-z,now,-z,noexecstack'
    AR=ar
    local libc=glibc
    case $flavour in
    release | musl)
        CFLAGS+=' -O2 -ffunction-sections -fdata-sections -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2'
        LDFLAGS+=' -O2 -Wl,--gc-sections'
        if ! $clang; then
            CFLAGS+=' -flto' LDFLAGS+=" -flto=$JOBS" AR=gcc-ar
        elif [ -x /usr/lib/llvm-14/bin/ld.lld ]; then
            CFLAGS+=' -flto' LDFLAGS+=' -flto -fuse-ld=lld' AR=llvm-ar-14
        fi
        [ "$flavour" = musl ] && libc=musl
        ;;
    debug) CFLAGS+=' -O1 -DR2A_CHECK_SLOW -fno-omit-frame-pointer' ;;
    asan | fuzz)
        CFLAGS+=' -O1 -DR2A_CHECK_SLOW -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
        LDFLAGS+=' -fsanitize=address,undefined'
        if [ "$flavour" = fuzz ]; then
            CFLAGS+=' -DR2A_FUZZ'
            $clang && CFLAGS+=' -fsanitize=fuzzer-no-link'
        fi
        ;;
    tsan) CFLAGS+=' -O1 -DR2A_CHECK_SLOW -fno-omit-frame-pointer -fsanitize=thread' LDFLAGS+=' -fsanitize=thread' ;;
    cov) CFLAGS+=' -O0 --coverage -DR2A_CHECK_SLOW' LDFLAGS+=' --coverage' ;;
    count) CFLAGS+=' -O2 -march=x86-64 -DR2A_COUNT' ;;
    *) die "no flavour $flavour: release, debug, asan, tsan, cov" ;;
    esac
    case $flavour in
    musl) ;;
    *) CFLAGS+=' -fPIE' LDFLAGS+=' -pie' ;;
    esac
    need_libraries $libc
    CFLAGS+="$LIB_CFLAGS ${CFLAGS_EXTRA:-}"
    OBJ=$BUILD_DIR/obj/$flavour-$(basename "${CC%% *}")
    mkdir -p "$OBJ"
    local stamp="$CC $CFLAGS $($CC -dumpfullversion 2>/dev/null || $CC --version | head -n 1)"
    if [ "$(cat "$OBJ/flags" 2>/dev/null)" != "$stamp" ]; then
        find "$OBJ" -mindepth 1 -delete
        printf '%s\n' "$stamp" >"$OBJ/flags"
    fi
}

is_stale() { # OBJECT: true when it or one of its dependencies says so
    local dependency
    [ -f "$1" ] && [ -f "${1%.o}.d" ] || return 0
    for dependency in $(<"${1%.o}.d"); do
        case $dependency in
        *: | \\) ;;
        *) { [ -f "$dependency" ] && ! [ "$dependency" -nt "$1" ]; } || return 0 ;;
        esac
    done
    return 1
}

compile_one() { # SOURCE: into $OBJ; prints the diagnostics of a failure in one piece
    local object=$OBJ/${1%.c}.o temporary=$OBJ/${1%.c}.$$
    mkdir -p "${object%/*}"
    : >"$temporary.time" # an edit made while the compiler runs must count as newer
    if $CC $CFLAGS $CFLAGS_MORE -MMD -MT x -MF "$temporary.d" -c "$1" -o "$temporary.o" 2>"$temporary.log"; then
        [ ! -s "$temporary.log" ] || cat "$temporary.log" >&2
        touch -r "$temporary.time" "$temporary.o"
        mv "$temporary.d" "${object%.o}.d"
        mv "$temporary.o" "$object"
    else
        cat "$temporary.log" >&2
        rm -f "$object" "$temporary.d" "$temporary.o"
        echo "$1" >>"$OBJ/.failed"
    fi
    rm -f "$temporary.time" "$temporary.log"
}
export -f compile_one

# compile SOURCE..: brings objects up to date; false when some did not compile (they are named in $OBJ/.failed).
CFLAGS_MORE=''
compile() {
    local source stale=()
    rm -f "$OBJ/.failed"
    for source; do
        is_stale "$OBJ/${source%.c}.o" && stale+=("$source")
    done
    [ ${#stale[@]} -eq 0 ] && return 0
    say "compiling ${#stale[@]} files (${OBJ##*/})"
    export CC CFLAGS CFLAGS_MORE OBJ
    printf '%s\n' "${stale[@]}" | xargs -P "$JOBS" -I{} bash -c 'compile_one "$1"' _ {}
    [ ! -f "$OBJ/.failed" ]
}

sources_of() { # MODULE..: their C files
    local module
    for module; do
        [ -d "src/$module" ] && find "src/$module" -name '*.c'
    done | sort
}

modules_below() { # MODULE: itself and every module of the layers below it
    awk -v module="$1" '{ for (i = 1; i <= NF; i++) if ($i == module) { print below module; exit } below = below $0 " " }' <<<"$LAYERS"
}

# library_objects MODULE..: compiles the modules and leaves their archive in LIBRARY. Goes on without a file that
# does not compile (FAILED counts them), so that tests of other files can still run.
library_objects() {
    local sources object objects=()
    mapfile -t sources < <(sources_of "$@")
    FAILED=0
    compile ${sources[@]+"${sources[@]}"} || {
        FAILED=$(wc -l <"$OBJ/.failed")
        say "did not compile: $(tr '\n' ' ' <"$OBJ/.failed")"
    }
    for object in ${sources[@]+"${sources[@]}"}; do
        object=$OBJ/${object%.c}.o
        [ -f "$object" ] && objects+=("$object")
    done
    LIBRARY=$OBJ/lib$(printf '%s-' "$@")r2a.a
    if ! is_newer_than_all "$LIBRARY" ${objects[@]+"${objects[@]}"} || [ "$(cat "$LIBRARY.list" 2>/dev/null)" != "${objects[*]-}" ]; then
        rm -f "$LIBRARY.$$"
        $AR rcsD "$LIBRARY.$$" ${objects[@]+"${objects[@]}"}
        mv "$LIBRARY.$$" "$LIBRARY"
        printf '%s\n' "${objects[*]-}" >"$LIBRARY.list"
    fi
}

is_newer_than_all() { # FILE OTHER..
    local file=$1 other
    shift
    [ -f "$file" ] || return 1
    for other; do
        [ "$other" -nt "$file" ] && return 1
    done
    return 0
}

ALL_MODULES=$(awk '$0 != "main"' <<<"$LAYERS" | tr '\n' ' ')

# build_program FLAVOUR OUTPUT
build_program() {
    local flavour=$1 output=$2 sources objects
    need_compiler
    use "$flavour"
    mapfile -t sources < <(sources_of $ALL_MODULES main)
    compile ${sources[@]+"${sources[@]}"} || die "did not compile: $(tr '\n' ' ' <"$OBJ/.failed")"
    if [ ! -f src/main/main.c ]; then
        say "no src/main/main.c yet: compiled, nothing to link"
        return 0
    fi
    objects=("${sources[@]/#/$OBJ/}")
    objects=("${objects[@]/%.c/.o}")
    if is_newer_than_all "$output" "${objects[@]}" && [ "$OBJ/flags" -ot "$output" ]; then
        return 0
    fi
    mkdir -p "${output%/*}"
    say "linking $output"
    $CC $CFLAGS $LDFLAGS "${objects[@]}" $LIB_LDFLAGS -o "$output.$$" || die "linking $output failed"
    mv "$output.$$" "$output"
}

do_build() {
    local flavour=${1:-release} output=$BUILD_DIR/ring2api
    [ "$flavour" = release ] || output=$BUILD_DIR/ring2api-$flavour
    [ "$CC" = gcc ] || output+=-$(basename "${CC%% *}")
    build_program "$flavour" "$output"
}

do_run() {
    do_build release
    [ -x "$BUILD_DIR/ring2api" ] || die "nothing to run yet"
    exec "$BUILD_DIR/ring2api" serve "$@"
}

# ---- Tests ----------------------------------------------------------------------------------------------------

export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export VECTORS_DIR=${VECTORS_DIR:-$ROOT/../shared/vectors}

PASSED=0
LOST=0
closing() { # the line every verb that tests ends with
    printf '%d passed, %d failed\n' "$PASSED" "$LOST"
    [ "$LOST" -eq 0 ]
}

# run_unit_one PROGRAM: runs one test program, its output to PROGRAM.log, its verdict to PROGRAM.verdict
run_unit_one() {
    local program=$1 status=0 start=$EPOCHREALTIME
    timeout -k 5 170 "$program" -j1 --color=never >"$program.log" 2>&1 || status=$?
    awk -v status=$status -v start="$start" -v end="$EPOCHREALTIME" -v name="${program#*/unit/*/}" '
        /Synthesis: Tested:/ { gsub(/[^0-9 ]/, ""); tested = $1; passing = $2 }
        /crashed during its setup or teardown/ { leaked++ } # what LeakSanitizer says at a test process end
        /^\[SKIP\]/ { skipped++ }
        END {
            failed = tested - passing
            if (failed < leaked) { passing -= leaked - failed; failed = leaked }
            if (status != 0 && failed == 0) failed = 1
            printf "%d %d %s %.1f %d\n", passing, failed, name, end - start, skipped
        }' "$program.log" >"$program.verdict"
    awk '{ printf "%-6s %-32s %4d passed  %s s%s\n", $2 ? "FAILED" : "ok", $3, $1, $4, $5 ? "  (" $5 " skipped)" : "" }' "$program.verdict"
    if [ "$(awk '{ print $2 }' "$program.verdict")" != 0 ]; then
        sed -n '/Synthesis/!p' "$program.log" | head -n 60 | sed 's/^/    /'
        echo "    alone: ./build.sh unit $(sed 's|/test_|/|' <<<"${program#*/unit/*/}")"
    fi
}
export -f run_unit_one

# unit_tests FILTER: adds to PASSED and LOST
unit_tests() {
    local filter=${1:-} tests=() test module modules='' programs=() support objects=() program
    need_compiler
    need criterion
    for test in tests/unit/*/test_*.c; do
        [ -f "$test" ] || continue
        case ${test#tests/unit/} in *"${filter/\///test_}"* | *"$filter"*) tests+=("$test") ;; esac
    done
    if [ ${#tests[@]} -eq 0 ]; then
        say "no unit test matches '$filter'"
        [ -z "$filter" ] || LOST=$((LOST + 1))
        return 0
    fi
    use "$FLAVOUR"
    CFLAGS_MORE="-I. -Itests/unit -Wno-missing-prototypes"
    # Only what the chosen tests' modules stand on is built: the highest of them and all layers below it.
    modules=$(for test in "${tests[@]}"; do
        module=${test#tests/unit/}
        modules_below "${module%%/*}" | tr ' ' '\n'
    done | sort -u | grep . | tr '\n' ' ')
    CFLAGS_MORE='' library_objects $modules
    LOST=$((LOST + FAILED))
    mapfile -t support < <(find tests/unit -name '*.c' ! -name 'test_*.c' | sort)
    compile "${tests[@]}" ${support[@]+"${support[@]}"} || {
        LOST=$((LOST + $(wc -l <"$OBJ/.failed")))
        say "did not compile: $(tr '\n' ' ' <"$OBJ/.failed")"
    }
    local link=()
    for test in "${tests[@]}"; do
        module=${test#tests/unit/}
        module=${module%/*}
        [ -f "$OBJ/${test%.c}.o" ] || continue
        program=$BUILD_DIR/unit/${OBJ##*/}/$module/$(basename "$test" .c)
        objects=("$OBJ/${test%.c}.o")
        local file
        for file in ${support[@]+"${support[@]}"}; do
            case $file in tests/unit/support/* | "tests/unit/$module/"*) [ -f "$OBJ/${file%.c}.o" ] && objects+=("$OBJ/${file%.c}.o") ;; esac
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
            $CC $CFLAGS $LDFLAGS ${1#* } "$LIBRARY" $LIB_LDFLAGS -lcriterion -lm -o "$program.$$" 2>"$program.link" &&
                mv "$program.$$" "$program" || { head -n 20 "$program.link" >&2; true; }' _ {}
    fi
    local runnable=()
    for program in "${programs[@]}"; do
        if [ -x "$program" ]; then
            rm -f "$program.verdict"
            runnable+=("$program")
        else
            LOST=$((LOST + 1))
            say "did not link: ${program##*/unit/}"
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

do_unit() {
    unit_tests "${1:-}"
    closing
}

do_clean() {
    if [ "${1:-}" = --all ]; then
        rm -rf "$BUILD_DIR" "$ROOT/build"
    elif [ -d "$BUILD_DIR" ]; then
        find "$BUILD_DIR" -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +
    fi
}

do_fmt() {
    local files
    need format
    mapfile -t files < <(find include src tests bench -name '*.[ch]' -not -path '*/node_modules/*' | sort)
    [ ${#files[@]} -gt 0 ] || return 0
    if [ "${1:-}" = --check ]; then
        printf '%s\n' "${files[@]}" | xargs -P "$JOBS" -n 16 clang-format-14 --dry-run -Werror
    else
        printf '%s\n' "${files[@]}" | xargs -P "$JOBS" -n 16 clang-format-14 -i
    fi
}

main() {
    local verb=${1:-help}
    [ $# -eq 0 ] || shift
    case $verb in
    run | build | unit | fmt | clean) "do_$verb" "$@" ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        die "no verb $verb"
        ;;
    esac
}

main "$@"
