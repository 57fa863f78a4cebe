#!/usr/bin/env bash
# The benchmark: ring2api beside nginx and haproxy as plain reverse proxies, and each pair of protocols beside the passthrough of the same
# bodies, in one interleaved run on the loopback, so that figures are ratios of the same minute on the same machine. Prints tables and
# writes them as JSON.
#
#   bench/run.sh [--quick] [--only PART] [--out FILE]
#
# PART: requests, chunks, pairs, memory, gaps. Environment: R2A_BIN (default build/dist/ring2api), BUILD_DIR, R2A_GLIBC_BIN (default build/ring2api
# when it is there: its distance to the static binary is printed). About 12 minutes; with --quick 5.
# CPU is the process clock of the program under test only, all its threads; nothing of wrk or the mock upstream counts.
set -euo pipefail
export LC_ALL=C

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
BUILD_DIR=${BUILD_DIR:-build}
BIN=${R2A_BIN:-$BUILD_DIR/dist/ring2api}
GLIBC_BIN=${R2A_GLIBC_BIN:-$BUILD_DIR/ring2api}
OUT=$BUILD_DIR/bench.json
QUICK=false ONLY=''
while [ $# -gt 0 ]; do
    case $1 in
    --quick) QUICK=true ;;
    --only) ONLY=$2 && shift ;;
    --out) OUT=$2 && shift ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done

die() {
    printf '%s\n' "bench: $*" >&2
    exit 1
}
say() { printf '%s\n' "== $*" >&2; }
wants() { [ -z "$ONLY" ] || [ "$ONLY" = "$1" ]; }

[ -x "$BIN" ] || die "no $BIN: run ./build.sh dist"
for tool in wrk jq openssl curl "${CC:=gcc}"; do
    command -v "$tool" >/dev/null || die "needs $tool"
done
NGINX=$(command -v nginx || echo /usr/sbin/nginx) HAPROXY=$(command -v haproxy || echo /usr/sbin/haproxy)
[ -x "$NGINX" ] && [ -x "$HAPROXY" ] || die "needs nginx and haproxy"

mkdir -p "$BUILD_DIR/bench"
DIR=$(cd "$BUILD_DIR/bench" && pwd)/run
SAMPLES=$DIR/samples.jsonl
rm -rf "$DIR"
mkdir -p "$DIR"
: >"$SAMPLES"
START=$SECONDS
ulimit -n 20000 2>/dev/null || die "needs a limit of 20,000 descriptors"

# Subjects on one core, what drives them on the other. Each subject has a session of its own, as nginx makes itself one:
# where the system groups processes by session to share its time, all get the same.
SUBJECT_CORE=(setsid) DRIVER_CORE=()
if [ "$(nproc)" -ge 2 ] && command -v taskset >/dev/null; then
    SUBJECT_CORE=(setsid taskset -c 0) DRIVER_CORE=(taskset -c 1)
fi

# ---- what runs -------------------------------------------------------------------------------------------------

PIDS=()
cleanup() {
    local pid
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in nginx p384; do
        [ ! -s "$DIR/$pid.pid" ] || kill "$(<"$DIR/$pid.pid")" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 130' INT TERM

build_tools() {
    local bearssl=$ROOT/build/deps/bearssl-glibc link
    if [ -f "$bearssl/lib/libbearssl.a" ]; then link="-isystem $bearssl/include $bearssl/lib/libbearssl.a"; else link=-l:libbearssl.a; fi
    # shellcheck disable=SC2086
    $CC -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra bench/mock_upstream.c bench/mock_answers.c $link -o "$DIR/mock_upstream" || die "mock_upstream does not compile"
    $CC -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra bench/load.c -o "$DIR/load" || die "load does not compile"
}

# make_chain NAME CURVE: a root, and a leaf for localhost and 127.0.0.1 with its key
make_chain() {
    local name=$1 curve=$2
    (
        cd "$DIR"
        openssl req -x509 -newkey ec -pkeyopt "ec_paramgen_curve:$curve" -nodes -keyout "$name-ca.key" -out "$name-root.pem" -days 30 \
            -subj "/CN=bench $name root" -sha384
        openssl req -newkey ec -pkeyopt "ec_paramgen_curve:$curve" -nodes -keyout "$name-pkcs8.pem" -out "$name.csr" -subj /CN=localhost
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >"$name.ext"
        openssl x509 -req -in "$name.csr" -CA "$name-root.pem" -CAkey "$name-ca.key" -CAcreateserial -days 30 -sha384 -extfile "$name.ext" \
            -out "$name-leaf.pem"
        openssl ec -in "$name-pkcs8.pem" -out "$name-key.pem"
        cp "$name-leaf.pem" "$name-chain.pem"
    ) >"$DIR/openssl.log" 2>&1 || die "openssl failed: $(tail -n 3 "$DIR/openssl.log")"
}

configure() {
    local base=$((20000 + RANDOM % 1000 * 10)) file
    MOCK=$base MOCK_TLS=$((base + 1)) NGINX_PORT=$((base + 2)) NGINX_TLS=$((base + 3)) HAPROXY_PORT=$((base + 4)) HAPROXY_TLS=$((base + 5))
    RING2API=$((base + 6)) P384=$((base + 7)) GLIBC=$((base + 8))
    for file in nginx.conf p384.conf haproxy.cfg ring2api.json; do
        sed -e "s|@DIR@|$DIR|g;s|@MOCK@|$MOCK|g;s|@MOCK_TLS@|$MOCK_TLS|g;s|@NGINX@|$NGINX_PORT|g;s|@NGINX_TLS@|$NGINX_TLS|g" \
            -e "s|@HAPROXY@|$HAPROXY_PORT|g;s|@HAPROXY_TLS@|$HAPROXY_TLS|g;s|@RING2API@|$RING2API|g;s|@P384@|$P384|g" \
            "bench/config/$file" >"$DIR/$file"
    done
    sed "s|127.0.0.1:$RING2API|127.0.0.1:$GLIBC|" "$DIR/ring2api.json" >"$DIR/glibc.json"
    make_chain p256 P-256
    make_chain p384 P-384
    cat "$DIR"/p256-root.pem "$DIR"/p384-root.pem >"$DIR/roots.pem"
}

await() { # PORT NAME
    local i
    for i in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
        sleep 0.05
    done
    die "$2 does not listen on port $1: $(tail -n 3 "$DIR/$2.log" 2>/dev/null)"
}

# start_gateway BINARY CONFIG PORT NAME: leaves its process id in REPLY
start_gateway() {
    "${SUBJECT_CORE[@]}" "$1" serve -c "$2" >/dev/null 2>"${GATEWAY_LOG:-/dev/null}" &
    REPLY=$!
    PIDS+=("$REPLY")
    await "$3" "$4"
}

stop() { # PID
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

start_all() {
    "${DRIVER_CORE[@]}" "$DIR/mock_upstream" "$MOCK" "$MOCK_TLS" "$DIR/p256-chain.pem" "$DIR/p256-key.pem" 2>"$DIR/mock.log" &
    PIDS+=($!)
    await "$MOCK" mock
    "${SUBJECT_CORE[@]}" "$NGINX" -c "$DIR/nginx.conf" -p "$DIR" 2>"$DIR/nginx.log" || die "nginx: $(<"$DIR/nginx.log")"
    await "$NGINX_PORT" nginx
    NGINX_PID=$(pgrep -P "$(<"$DIR/nginx.pid")" | head -n 1)
    "${DRIVER_CORE[@]}" "$NGINX" -c "$DIR/p384.conf" -p "$DIR" 2>"$DIR/p384.log" || die "nginx: $(<"$DIR/p384.log")"
    "${SUBJECT_CORE[@]}" "$HAPROXY" -f "$DIR/haproxy.cfg" -db >"$DIR/haproxy.log" 2>&1 &
    HAPROXY_PID=$!
    PIDS+=("$HAPROXY_PID")
    await "$HAPROXY_PORT" haproxy
    start_gateway "$BIN" "$DIR/ring2api.json" "$RING2API" ring2api
    R2A_PID=$REPLY
    SUBJECTS='nginx haproxy passthrough translated'
    if [ -x "$GLIBC_BIN" ] && ! ldd "$GLIBC_BIN" 2>&1 | grep -q 'not a dynamic'; then
        start_gateway "$GLIBC_BIN" "$DIR/glibc.json" "$GLIBC" glibc
        GLIBC_PID=$REPLY
    else
        GLIBC_PID=''
    fi
}

# ---- bodies ----------------------------------------------------------------------------------------------------

# What a request of each protocol is made of; the words and the model come in the place of their names.
declare -A SETTINGS=(
    [chat]='{"model":"MODEL","stream":STREAM,"temperature":0.5,"max_tokens":1000,'
    [responses]='{"model":"MODEL","stream":STREAM,"temperature":0.5,"max_output_tokens":1000,"store":false,'
    [messages]='{"model":"MODEL","stream":STREAM,"temperature":0.5,"max_tokens":1000,'
    [gemini]='{"generationConfig":{"temperature":0.5,"maxOutputTokens":1000},'
)
declare -A TURNS=(
    [chat]='"messages":[{"role":"system","content":"You are terse."},{"role":"user","content":CONTENT}]}'
    [responses]='"instructions":"You are terse.","input":[{"role":"user","content":CONTENT}]}'
    [messages]='"system":"You are terse.","messages":[{"role":"user","content":CONTENT}]}'
    [gemini]='"systemInstruction":{"parts":[{"text":"You are terse."}]},"contents":[{"role":"user","parts":CONTENT}]}'
)
declare -A TEXT=([chat]='"WORDS"' [responses]='"WORDS"' [messages]='"WORDS"' [gemini]='[{"text":"WORDS"}]')
declare -A IMAGE=(
    [chat]='[{"type":"image_url","image_url":{"url":"data:image/png;base64,WORDS"}}]'
    [responses]='[{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,WORDS"}]'
    [messages]='[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"WORDS"}}]'
    [gemini]='[{"inlineData":{"mimeType":"image/png","data":"WORDS"}}]'
)
declare -A ROUTE=([chat]=/v1/chat/completions [responses]=/v1/responses [messages]=/v1/messages [gemini]=/v1beta/models/MODEL:VERB)
DIALECTS='chat responses messages gemini'

# ask DIALECT BYTES MODEL STREAM [IMAGE]: writes a request of that size, all text or, if asked, an image; sets BODY, its file, URL_PATH and
# HEADERS
ask() {
    local dialect=$1 bytes=$2 model=$3 stream=$4 frame filler=' amet consectetur adipiscing elit sed do eiusmod tempor lorem ipsum dolor sit'
    URL_PATH=${ROUTE[$dialect]/MODEL/$model} HEADERS=('Authorization: Bearer bench-client-key')
    case $dialect in
    messages) HEADERS=('x-api-key: bench-client-key' 'anthropic-version: 2023-06-01') ;;
    gemini)
        HEADERS=('x-goog-api-key: bench-client-key')
        if $stream; then URL_PATH=${URL_PATH/VERB/'streamGenerateContent?alt=sse'}; else URL_PATH=${URL_PATH/VERB/generateContent}; fi
        ;;
    esac
    BODY=$DIR/$dialect-$bytes-$model-$stream${5:-}.json
    [ ! -f "$BODY" ] || return 0
    frame=${SETTINGS[$dialect]/MODEL/$model}${TURNS[$dialect]}
    frame=${frame/STREAM/$stream}
    if [ "$dialect" = chat ] && $stream; then frame=${frame/'"temperature"'/'"stream_options":{"include_usage":true},"temperature"'}; fi
    if [ -n "${5:-}" ]; then frame=${frame/CONTENT/${IMAGE[$dialect]}} filler=iVBORw0KGgoAAAANSUhEUgAA; else frame=${frame/CONTENT/${TEXT[$dialect]}}; fi
    local want=$((bytes + 5 - ${#frame}))
    while [ ${#filler} -lt $want ]; do filler+=$filler; done
    want=$((want > 4 ? want - want % 4 : 4))
    printf '%s%s%s' "${frame%%WORDS*}" "${filler:0:want}" "${frame#*WORDS}" >"$BODY"
}

# subject NAME IS_TLS: sets DIALECT, ADDRESS, PREFIX and PID. A NAME with `>` is a pair: what the client speaks, and the provider.
subject() {
    DIALECT=chat PREFIX=''
    case $1 in
    nginx)
        PID=$NGINX_PID ADDRESS=127.0.0.1:$NGINX_PORT
        $2 && ADDRESS=127.0.0.1:$NGINX_TLS
        ;;
    haproxy)
        PID=$HAPROXY_PID ADDRESS=127.0.0.1:$HAPROXY_PORT
        $2 && ADDRESS=127.0.0.1:$HAPROXY_TLS
        ;;
    *)
        PID=$R2A_PID ADDRESS=127.0.0.1:$RING2API
        case $1 in *-glibc) PID=$GLIBC_PID ADDRESS=127.0.0.1:$GLIBC ;; esac
        case $1 in
        translated*) DIALECT=messages ;;
        *'>'*) DIALECT=${1%>*} PREFIX=/to-${1#*>} ;;
        esac
        $2 && PREFIX=/secure
        ;;
    esac
    return 0
}

# ---- measuring -------------------------------------------------------------------------------------------------

# take_requests LOAD ROUND SUBJECT CONNECTIONS IN OUT IS_TLS [IMAGE]: a sample of PART
take_requests() {
    local before after line
    subject "$3" "$7"
    ask "$DIALECT" "$5" "mk-$6-p0" false "${8:-}"
    before=$("$DIR/load" cpu "$PID")
    line=$(timeout 20 "${DRIVER_CORE[@]}" wrk -t1 -c"$4" -d1s --timeout 5s -s bench/config/requests.lua "http://$ADDRESS$PREFIX$URL_PATH" -- \
        "$BODY" "${HEADERS[@]}" | sed -n 's/^BENCH //p')
    after=$("$DIR/load" cpu "$PID")
    [ -n "$line" ] || die "wrk failed for $1 $3"
    jq -c --arg part "$PART" --arg load "$1" --argjson round "$2" --arg subject "$3" --argjson cpu $((after - before)) \
        '{part: $part, load: $load, round: $round, subject: $subject, cpu_us: ($cpu / 1000 / ([.requests, 1] | max)),
          per_second: (.requests / .seconds), errors, p50_us, p99_us}' <<<"$line" >>"$SAMPLES"
}

# requests ROUNDS LOAD..: a LOAD is NAME:CONNECTIONS:IN:OUT:IS_TLS
requests() {
    local PART=requests rounds=$1 round load name subject subjects
    shift
    say "requests: $*, $rounds rounds"
    for ((round = 1; round <= rounds; round++)); do
        for load; do
            IFS=: read -r name conns in out tls <<<"$load"
            subjects=$SUBJECTS
            [ "$name" != "1k-64" ] || [ -z "$GLIBC_PID" ] || subjects+=' passthrough-glibc translated-glibc'
            for subject in $subjects; do
                take_requests "$name" "$round" "$subject" "$conns" "$in" "$out" "$tls"
            done
        done
    done
}

# take_chunks LOAD ROUND SUBJECT STREAMS MODE SECONDS IS_TLS: a sample of PART
take_chunks() {
    local line header=()
    subject "$3" "$7"
    ask "$DIALECT" 300 "mk-250-$5" true
    for line in "${HEADERS[@]}"; do header+=(-H "$line"); done
    line=$(timeout 40 "${DRIVER_CORE[@]}" "$DIR/load" stream -n "$4" -s "$6" -w 0.2 -p "$PID" -b "$BODY" "${header[@]}" "$ADDRESS" "$PREFIX$URL_PATH") ||
        die "load failed for $1 $3"
    jq -c --arg part "$PART" --arg load "$1" --argjson round "$2" --arg subject "$3" \
        '{part: $part, load: $load, round: $round, subject: $subject, cpu_us: .cpu_us_per_event, per_second: .events_per_second, lost,
          first_event_us, delay_us, gap_us, complaint}' <<<"$line" >>"$SAMPLES"
}

# chunks ROUNDS LOAD..: a LOAD is NAME:STREAMS:MODE:SECONDS:IS_TLS
chunks() {
    local PART=chunks rounds=$1 round load name subject subjects
    shift
    say "chunks: $*, $rounds rounds"
    for ((round = 1; round <= rounds; round++)); do
        for load; do
            IFS=: read -r name streams mode seconds tls <<<"$load"
            subjects=$SUBJECTS
            [ "$name" != "spread-64" ] || [ -z "$GLIBC_PID" ] || subjects+=' translated-glibc'
            for subject in $subjects; do
                take_chunks "$name" "$round" "$subject" "$streams" "$mode" "$seconds" "$tls"
            done
        done
    done
}

memory_kib() { awk '/^VmRSS:/ { rss = $2 } /^VmPTE:/ { pte = $2 } END { print rss, pte }' "/proc/$1/status"; }

# waiting SUBJECT IS_TLS STREAMS: memory of streams that wait, a sample of PART; for ring2api in a process of its own
waiting() {
    local line header=() idle=null own='' rss pte
    case $1 in
    nginx | haproxy) ;;
    *)
        stop "$R2A_PID"
        start_gateway "$BIN" "$DIR/ring2api.json" "$RING2API" ring2api
        R2A_PID=$REPLY own=1
        sleep 0.5
        read -r rss pte <<<"$(memory_kib "$R2A_PID")"
        idle="{\"rss_kib\": $rss, \"pte_kib\": $pte}"
        ;;
    esac
    subject "$1" "$2"
    ask "$DIALECT" 1024 mk-250-w0 true
    for line in "${HEADERS[@]}"; do header+=(-H "$line"); done
    line=$(timeout 60 "${DRIVER_CORE[@]}" "$DIR/load" stream -n "$3" -s 1 -w 1 -t 45 -o 64 -p "$PID" -b "$BODY" "${header[@]}" "$ADDRESS" "$PREFIX$URL_PATH") ||
        die "load failed: waiting $1"
    jq -c --arg part "$PART" --arg subject "$1" --argjson tls "$2" --argjson idle "$idle" \
        '{part: $part, load: "waiting", subject: $subject, tls: $tls, streams, open, lost, idle: $idle,
          bytes_per_stream: ((.memory_kib - .memory_before_kib) * 1024 / ([.open, 1] | max)), opened_in, complaint}' <<<"$line" >>"$SAMPLES"
    [ -z "$own" ] || sleep 0.3
}

# pairs ROUNDS IMAGE_ROUNDS STREAMS: every client protocol before every upstream protocol; those of one upstream, which are compared, one
# after the other
pairs() {
    local PART=pairs round client upstream pair
    say "pairs, $1 rounds"
    for ((round = 1; round <= $1; round++)); do
        for upstream in $DIALECTS; do
            for client in $DIALECTS; do
                pair="$client>$upstream"
                take_requests request "$round" "$pair" 64 1024 1024 false
                take_chunks chunk "$round" "$pair" 64 e2000 0.5 false
                [ "$round" -gt "$2" ] || take_requests image "$round" "$pair" 2 5242880 1024 false image
            done
        done
    done
    say "memory of the pairs"
    for upstream in $DIALECTS; do
        for client in $DIALECTS; do
            waiting "$client>$upstream" false "$3"
        done
    done
}

# gaps ROUNDS SECONDS: events of 64 streams, without and with 50 new TLS connections a second
gaps() {
    local round kind line
    say "gaps, $1 rounds"
    taskset -acp "0-$(($(nproc) - 1))" "$R2A_PID" >/dev/null 2>&1 || true
    subject translated false
    local address=$ADDRESS
    ask messages 300 mk-250-e10000 true
    local streams=$BODY
    ask chat 300 mk-1-p0 false
    local single=$BODY
    for ((round = 1; round <= $1; round++)); do
        for kind in without with; do
            if [ $kind = with ]; then
                "$DIR/load" rate -r 50 -s "$(($2 + 1))" -b "$single" -H 'Authorization: Bearer bench-client-key' "$address" \
                    /p384/v1/chat/completions >"$DIR/rate.json" &
                local rate=$!
                sleep 0.3
            fi
            line=$(timeout 40 "$DIR/load" stream -n 64 -s "$2" -w 0.3 -p "$R2A_PID" -b "$streams" -H 'x-api-key: bench-client-key' \
                -H 'anthropic-version: 2023-06-01' "$address" /v1/messages)
            echo '{}' >"$DIR/rate-now.json"
            if [ $kind = with ]; then
                wait "$rate" || true
                cp "$DIR/rate.json" "$DIR/rate-now.json"
            fi
            jq -c --arg kind "$kind" --argjson round "$round" --slurpfile rate "$DIR/rate-now.json" \
                '{part: "gaps", kind: $kind, round: $round, lost, gap_us, delay_us, cpu_share: (.cpu_us / 1e6 / .seconds), handshakes: $rate[0]}' \
                <<<"$line" >>"$SAMPLES"
        done
    done
}

# ---- the run ---------------------------------------------------------------------------------------------------

build_tools
configure
start_all
if $QUICK; then
    ! wants requests || requests 2 1k-64:64:1024:1024:false 16k-64:64:16384:1024:false
    ! wants chunks || chunks 2 spread-64:64:e2000:0.7:false together-64:64:t10000:0.7:false spread-64-tls:64:e2000:0.7:true
else
    if wants requests; then
        requests 5 1k-64:64:1024:1024:false 16k-64:64:16384:1024:false
        requests 2 16k-16k-64:64:16384:16384:false 1k-1:1:1024:1024:false 1k-512:512:1024:1024:false
        requests 2 1k-1-tls:1:1024:1024:true 1k-64-tls:64:1024:1024:true 1k-512-tls:512:1024:1024:true
    fi
    if wants chunks; then
        chunks 5 spread-64:64:e2000:0.8:false together-64:64:t10000:0.8:false spread-64-tls:64:e2000:0.8:true
        chunks 2 spread-1:1:e2000:0.8:false spread-512:512:e20000:0.8:false unpaced-64:64:u0:0.8:false
        chunks 2 spread-1-tls:1:e2000:0.8:true together-64-tls:64:t10000:0.8:true spread-512-tls:512:e20000:0.8:true
    fi
fi
if wants pairs; then
    if $QUICK; then pairs 3 1 1000; else pairs 7 3 2000; fi
fi
if wants gaps; then
    if $QUICK; then gaps 2 2; else gaps 3 4; fi
fi
if wants memory; then
    PART=memory
    say "memory"
    if $QUICK; then plain=9000 secure=4000; else plain=9000 secure=9000; fi
    waiting passthrough false $plain
    waiting translated false $plain
    waiting translated true $secure
    if ! $QUICK; then
        waiting nginx false 9000
        waiting haproxy false 9000
        waiting nginx true 2000
        waiting haproxy true 2000
    fi
fi

BYTES=$(stat -c %s "$BIN")
jq -s --argjson bytes "$BYTES" --arg machine "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs, Linux $(uname -r)" \
    --arg nginx "$("$NGINX" -v 2>&1 | sed 's|.*/||')" --arg haproxy "$("$HAPROXY" -v | sed -n '1s/.*version \([^ -]*\).*/\1/p')" \
    --arg version "$("$BIN" --version | head -n 1)" --argjson quick $QUICK -f bench/config/summary.jq "$SAMPLES" >"$OUT"
jq -r -f bench/config/table.jq "$OUT"
say "took $((SECONDS - START)) s; $OUT"
