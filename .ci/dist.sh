# dist, its smoke test, bench and count. Sourced by build.sh.

DIST_BYTES_MAX=1048576

do_dist() {
    local out=$BUILD_DIR/dist lib size
    need gcc musl file ca unpack
    lib=/usr/lib/$(uname -m)-linux-musl
    CC=musl-gcc
    use musl
    # musl-gcc has no -static-pie of its own: its start files are named here.
    link_program "$out/ring2api.debug" \
        "-static -nostartfiles -Wl,-pie,--no-dynamic-linker,-z,text $lib/rcrt1.o $lib/crti.o $(gcc -print-file-name=crtbeginS.o)" \
        "$(gcc -print-file-name=crtendS.o) $lib/crtn.o"
    [ -x "$out/ring2api.debug" ] || return 0
    strip -o "$out/ring2api" "$out/ring2api.debug"
    file -b "$out/ring2api" | grep -qE '(static-pie|statically) linked.*, stripped' || die "not static and stripped: $(file "$out/ring2api")"
    { ldd "$out/ring2api" 2>&1 || true; } | grep -qE 'statically linked|not a dynamic executable' || die "ldd finds libraries: $(ldd "$out/ring2api")"
    size=$(stat -c %s "$out/ring2api")
    [ "$size" -le $DIST_BYTES_MAX ] || die "$out/ring2api has $size bytes, more than $DIST_BYTES_MAX"
    dist_rootfs "$out"
    cp src/main/share/seccomp-io_uring.json "$out/"
    echo "$out/ring2api: $size bytes, $(file -b "$out/ring2api" | grep -oE 'static[a-z-]* linked')"
    echo "$out/ring2api-rootfs.tar: $(tar -tf "$out/ring2api-rootfs.tar" | grep -v '/$' | tr '\n' ' ')"
    echo "$out/seccomp-io_uring.json: for --security-opt seccomp=FILE"
}

# The whole file system of a `scratch` image; the same bytes for the same inputs.
dist_rootfs() {
    local out=$1 root=$1/rootfs
    rm -rf "$root"
    mkdir -p "$root/etc/ssl/certs"
    cp "$out/ring2api" "$root/ring2api"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    cp src/main/share/ring2api.json "$root/etc/ring2api.json"
    chmod 755 "$root/ring2api" "$root/etc" "$root/etc/ssl" "$root/etc/ssl/certs"
    chmod 644 "$root/etc/ring2api.json" "$root/etc/ssl/certs/ca-certificates.crt"
    tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$out/ring2api-rootfs.tar" etc ring2api
    rm -rf "$root"
}

# The static binary, alone in an otherwise empty root, says its version, serves a request and drains.
do_smoke() {
    local port attempt body enter=(chroot) status=0
    [ -x "$BUILD_DIR/dist/ring2api" ] || die "no $BUILD_DIR/dist/ring2api: run ./build.sh dist"
    need curl
    [ "$(id -u)" = 0 ] || enter=(unshare -r chroot)
    SMOKE_ROOT=$(mktemp -d)
    SMOKE_PID=''
    trap '[ -z "$SMOKE_PID" ] || kill "$SMOKE_PID" 2>/dev/null; rm -rf "$SMOKE_ROOT"' EXIT
    cp "$BUILD_DIR/dist/ring2api" "$SMOKE_ROOT/"
    "${enter[@]}" "$SMOKE_ROOT" /ring2api --version || die "ring2api --version failed in an empty root"
    port=$((20000 + RANDOM % 20000))
    "${enter[@]}" "$SMOKE_ROOT" /ring2api serve --port "$port" >"$BUILD_DIR/smoke.log" 2>&1 &
    SMOKE_PID=$!
    body='{"model":"echo","messages":[{"role":"user","content":"from an empty root"}]}'
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.2
        if curl -fsS -m 5 "http://127.0.0.1:$port/v1/chat/completions" -H 'content-type: application/json' -d "$body" \
            >"$BUILD_DIR/smoke.json" 2>"$BUILD_DIR/smoke.err"; then
            grep -q 'from an empty root' "$BUILD_DIR/smoke.json" || die "echo did not echo: $(<"$BUILD_DIR/smoke.json")"
            kill -TERM "$SMOKE_PID"
            wait "$SMOKE_PID" || status=$?
            SMOKE_PID=''
            [ $status -eq 0 ] || die "after SIGTERM: exit status $status"
            echo "smoke: the static binary answers in an empty root, and drains"
            return 0
        fi
    done
    cat "$BUILD_DIR/smoke.log" "$BUILD_DIR/smoke.err" >&2
    die "the static binary did not answer in an empty root"
}

do_bench() {
    [ -f bench/run.sh ] || die "there is no bench/run.sh yet"
    need bench jq openssl
    do_dist
    export R2A_BIN
    R2A_BIN=$(absolute "$BUILD_DIR/dist/ring2api")
    exec bash bench/run.sh "$@"
}

# Instruction counts of bench/count_<topic>.c (bench/count.h says how one looks), built as dist builds the program, so that
# they are the counts of what ships and of no C library that picks its functions by the machine.
do_count() {
    local update=false source name program fixture log counted expected lost=0 out=$BUILD_DIR/count/counts.txt
    [ "${1:-}" != --update ] || update=true
    need gcc musl valgrind
    CC=musl-gcc
    use musl
    LDFLAGS+=' -static'
    mkdir -p "${out%/*}"
    : >"$out"
    for source in bench/count_*.c; do # a program each
        [ -f "$source" ] || continue
        name=$(basename "$source" .c)
        program=$BUILD_DIR/count/$name
        build_tool "$name" "$program" "$source" bench/count.c || die "$name was not built"
        for fixture in $("$program" --list); do
            log=$BUILD_DIR/count/$name.$fixture.out
            env -i valgrind --tool=callgrind --collect-atstart=no --toggle-collect=count_run --callgrind-out-file="$log" \
                "$program" "$fixture" >"$log.log" 2>&1 || {
                tail -n 20 "$log.log" >&2
                die "$name $fixture failed"
            }
            counted=$(awk '/^(summary|totals):/ { print $2; exit }' "$log")
            [ "${counted:-0}" -gt 0 ] || die "$name $fixture: nothing counted; is count_run() a function of its own?"
            printf '%s %s\n' "${name#count_}.$fixture" "$counted" >>"$out"
        done
    done
    if $update; then
        cp "$out" bench/counts.txt
        cat bench/counts.txt
        return 0
    fi
    while read -r name counted; do
        expected=$(awk -v name="$name" '$1 == name { print $2 }' bench/counts.txt 2>/dev/null || true)
        awk -v name="$name" -v counted="$counted" -v expected="${expected:-0}" 'BEGIN {
            change = expected > 0 ? (counted - expected) * 100 / expected : 0
            verdict = expected <= 0 ? "NEW" : change > 1 ? "WORSE" : change < -1 ? "better: say so by count --update" : "ok"
            printf "%-40s %12d %+7.2f %%  %s\n", name, counted, change, verdict
            exit verdict == "WORSE" || verdict == "NEW"
        }' || lost=$((lost + 1))
    done <"$out"
    [ $lost -eq 0 ] || die "$lost counts are new or more than 1 % worse: mend them, or say in the commit what they bought and run count --update"
}
