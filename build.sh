#!/usr/bin/env bash
# Builds, tests and packs ring2api. Plain shell, incremental, parallel, no configure step; run it without an
# argument to see its verbs. Sources are found by themselves: src/<module>/**/*.c is the program, src/main its entry,
# tests/unit/<module>/test_<file>.c one test program each, tests/fuzz/fuzz_<file>.c one fuzz target each.
#
# Environment: BUILD_DIR (default build), CC (default gcc), JOBS, FLAVOUR (of what unit, golden, e2e and test run:
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
DEPS=${DEPS_DIR:-$ROOT/build/deps}                        # built libraries and their sources; survives `clean`
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
  ci                   both compilers, sanitizers, lint, fuzz smoke, dist, smoke test of the static binary
  fuzz TARGET [SECS]   libFuzzer with ASan and UBSan on tests/fuzz/fuzz_TARGET.c (default 60 s)
  count [--update]     instruction counts of the pure modules against bench/counts.txt
  bench [ARG..]        bench/run.sh on the binary that dist makes
  fmt [--check]        clang-format
  lint                 layering, banned calls, headers, format
  tidy [FILTER]        clang-tidy on some or all sources (slow)
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
        tidy) command -v clang-tidy-14 >/dev/null || missing+=(clang-tidy-14) ;;
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
    local libc=$1 name source version
    LIB_CFLAGS='' LIB_LDFLAGS=''
    need gcc unpack
    for name in liburing bearssl; do
        if with_lock "$DEPS" library $name "$libc"; then
            version=$(<"$REPLY/version")
            LIB_CFLAGS+=" -isystem $REPLY/include $(<"$REPLY/defines")"
            LIB_LDFLAGS+=" $REPLY/lib/lib${name#lib}.a"
        else
            source=${name^^}_SRC
            [ -z "${!source:-}" ] || die "$source=${!source} cannot be used"
            [ "$libc" = glibc ] || die "no source of $name: give it by $source=FOLDER or TARBALL"
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
    CFLAGS_ONCE=''
    case $CC in *clang*) clang=true ;; esac
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
    debug) CFLAGS+=' -O1 -DR2A_CHECK_SLOW -DR2A_HEAP_CHECK -fno-omit-frame-pointer' ;;
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
    *) die "no flavour $flavour: release, debug, asan, tsan, cov" ;;
    esac
    case $flavour in
    # What ships is bounded in size: nothing unwinds it, and padding loops and jumps buys nothing measurable.
    musl)
        CFLAGS_ONCE=' -Os' # what runs at the start or hardly ever: small rather than fast
        CFLAGS+=" -fPIE -DR2A_MUSL $MUSL_KERNEL_HEADERS -fno-asynchronous-unwind-tables -fno-unwind-tables -falign-jumps=1 -falign-loops=1 -falign-labels=1"
        ;;
    *) CFLAGS+=' -fPIE' LDFLAGS+=' -pie' ;;
    esac
    need_libraries $libc
    CFLAGS+="$LIB_CFLAGS ${CFLAGS_EXTRA:-}"
    OBJ=$BUILD_DIR/obj/$flavour-$(basename "${CC%% *}")
    mkdir -p "$OBJ"
    local stamp="$CC $CFLAGS$CFLAGS_ONCE $($CC -dumpfullversion 2>/dev/null || $CC --version | head -n 1)"
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
    local object=$OBJ/${1%.c}.o temporary=$OBJ/${1%.c}.$$ more=$CFLAGS_MORE
    case $1 in # defines memcpy and its kin: no compiler may put calls of these into it, nor learn of it too late
    */musl_mem.c)
        more+=' -fno-lto -fno-builtin -fno-stack-protector'
        case $CC in *clang*) ;; *) more+=' -fno-tree-loop-distribute-patterns' ;; esac
        ;;
    src/main/*.c | src/gateway/config*.c | src/gateway/gateway.c | src/gateway/listens.c | src/gateway/admin.c | src/gateway/catalog.c | \
        src/net/engine_ring_start.c | src/net/engine_refuse.c | src/net/resolve*.c | src/net/dns.c | src/net/tls_trust.c) more+=$CFLAGS_ONCE ;;
    esac
    mkdir -p "${object%/*}"
    : >"$temporary.time" # an edit made while the compiler runs must count as newer
    if $CC $CFLAGS $more -MMD -MT x -MF "$temporary.d" -c "$1" -o "$temporary.o" 2>"$temporary.log"; then
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
    export CC CFLAGS CFLAGS_MORE CFLAGS_ONCE OBJ
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

# library_objects MODULE..: compiles the modules and leaves their archive in LIBRARY. False when a file did not
# compile; the archive is then without it, so that tests of other files can still run.
library_objects() {
    local sources object objects=() status=0
    mapfile -t sources < <(sources_of "$@")
    compile ${sources[@]+"${sources[@]}"} || status=1
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
    return $status
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

# link_program OUTPUT [FIRST [LAST]]: the program, of all modules and src/main; FIRST and LAST stand around the objects.
link_program() {
    local output=$1 sources objects
    mapfile -t sources < <(sources_of $ALL_MODULES main)
    compile ${sources[@]+"${sources[@]}"} || die "did not compile: $(tr '\n' ' ' <"$OBJ/.failed")"
    if [ ! -f src/main/main.c ]; then
        say "compiled; no src/main/main.c yet, so there is nothing to link"
        return 0
    fi
    objects=("${sources[@]/#/$OBJ/}")
    objects=("${objects[@]/%.c/.o}")
    if is_newer_than_all "$output" "${objects[@]}" "$OBJ/flags"; then
        return 0
    fi
    mkdir -p "${output%/*}"
    say "linking $output"
    $CC $CFLAGS $LDFLAGS ${2:-} "${objects[@]}" $LIB_LDFLAGS ${3:-} -o "$output.$$" || die "linking $output failed"
    mv "$output.$$" "$output"
}

do_build() {
    local flavour=${1:-release}
    PROGRAM_OUTPUT=$BUILD_DIR/ring2api
    [ "$flavour" = release ] || PROGRAM_OUTPUT+=-$flavour
    [ "$CC" = gcc ] || PROGRAM_OUTPUT+=-$(basename "${CC%% *}")
    need_compiler
    use "$flavour"
    link_program "$PROGRAM_OUTPUT"
}

do_run() {
    do_build release
    [ -x "$BUILD_DIR/ring2api" ] || die "nothing to run yet"
    exec "$BUILD_DIR/ring2api" serve "$@"
}

absolute() {
    case $1 in /*) echo "$1" ;; *) echo "$ROOT/$1" ;; esac
}

do_clean() {
    if [ "${1:-}" = --all ]; then
        rm -rf "$BUILD_DIR" "$ROOT/build"
    elif [ -d "$BUILD_DIR" ]; then
        find "$BUILD_DIR" -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +
    fi
}

for part in test lint dist ci; do
    . "$ROOT/.ci/$part.sh"
done

main() {
    local verb=${1:-help}
    [ $# -eq 0 ] || shift
    case $verb in
    run | build | test | unit | golden | e2e | ci | fuzz | count | bench | fmt | lint | tidy | dist | clean) "do_$verb" "$@" ;;
    smoke | pure) "do_$verb" "$@" ;; # steps of ci
    fuzz-smoke) do_fuzz_smoke ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        die "no verb $verb"
        ;;
    esac
}

main "$@"
