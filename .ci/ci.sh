# Everything a landing must pass, each step a process of its own so that one failure hides no other. Sourced by build.sh.

CI_LOST=()
CI_WHY=''
step() { # NAME COMMAND..
    local name=$1 start=$SECONDS status=0 log=$BUILD_DIR/ci.log
    shift
    say "ci: $name"
    mkdir -p "$BUILD_DIR"
    "$@" 2>&1 | tee "$log" || status=$?
    if [ "$status" -eq 0 ]; then
        say "ci: $name: ok, $((SECONDS - start)) s"
    else
        say "ci: $name: FAILED, $((SECONDS - start)) s"
        CI_LOST+=("$name")
        CI_WHY+="-- $name"$'\n'$(grep -E -A 12 '^FAILED|did not compile|error[: ]|ERROR:|^== .*(fail|wrong)' "$log" | tail -n 40 || true)$'\n'
    fi
}

do_ci() {
    local start=$SECONDS self=$ROOT/build.sh
    export CI=true # what is slow runs too
    need gcc clang clang-rt format musl criterion file curl jq openssl git valgrind python npm ca unpack
    step lint "$self" lint
    step 'build, gcc' env CC=gcc "$self" build
    step 'build, clang' env CC=clang-14 "$self" build
    step 'test, gcc' env CC=gcc FLAVOUR=debug "$self" test
    step 'test, clang' env CC=clang-14 FLAVOUR=debug "$self" pure
    step 'test, ASan and UBSan' env CC=gcc FLAVOUR=asan "$self" test
    step 'fuzz smoke' "$self" fuzz-smoke
    step dist "$self" dist
    if [ -x "$BUILD_DIR/dist/ring2api" ]; then
        step 'smoke of the static binary' "$self" smoke
        step 'e2e of the static binary' env "R2A_BIN=$BUILD_DIR/dist/ring2api" E2E_WITH_AGENTS=yes "$self" e2e
    fi
    [ ! -f bench/counts.txt ] || step 'instruction counts' "$self" count
    if [ ${#CI_LOST[@]} -gt 0 ]; then
        printf '%s' "$CI_WHY" # again, where the end of a long log is all a reader sees
        say "ci: failed after $((SECONDS - start)) s: $(printf '%s; ' "${CI_LOST[@]}")"
        return 1
    fi
    say "ci: everything passed in $((SECONDS - start)) s"
}
