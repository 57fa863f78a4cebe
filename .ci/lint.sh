# The repository's rules, each a function that prints FILE:LINE: what is wrong. Sourced by build.sh.

# code_lines keep|drop FILE..: FILE:LINE:TEXT of every line, without comments, and with `drop` without strings.
code_lines() {
    local strings=$1
    shift
    awk -v strings="$strings" '
        FNR == 1 { inside = 0 }
        {
            line = $0; out = ""
            while (line != "") {
                if (inside) {
                    at = index(line, "*/")
                    if (!at) break
                    line = substr(line, at + 2); inside = 0
                } else if (match(line, /"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047|\/\*|\/\//)) {
                    token = substr(line, RSTART, RLENGTH)
                    out = out substr(line, 1, RSTART - 1)
                    line = substr(line, RSTART + RLENGTH)
                    if (token == "//") line = ""
                    else if (token == "/*") inside = 1
                    else out = out (strings == "keep" ? token : "\"\"")
                } else { out = out line; line = "" }
            }
            if (out ~ /[^ \t]/) print FILENAME ":" FNR ":" out
        }' "$@"
}

lint_layers() { # an include names a lower layer or its own module; private headers stay inside theirs
    code_lines keep "$@" | awk -v layers="$LAYERS" '
        BEGIN { n = split(layers, row, "\n"); for (i = 1; i <= n; i++) { m = split(row[i], name, " "); for (j = 1; j <= m; j++) layer[name[j]] = i } }
        match($0, /#[ \t]*include[ \t]*"[^"]+"/) {
            split($0, at, ":"); where = at[1] ":" at[2] ": "
            text = substr($0, RSTART, RLENGTH); sub(/^[^"]*"/, "", text); sub(/"$/, "", text)
            own = at[1]; sub(/^(include\/r2a|src)\//, "", own)
            if (own !~ /\//) own = "core" # limits.h and such stand below all modules
            sub(/\/.*/, "", own)
            if (text !~ /^r2a\//) {
                if (text ~ /\//) print where "\"" text "\": a private header is named without a folder, a public one as r2a/MODULE/FILE.h"
                next
            }
            other = substr(text, 5)
            if (other !~ /\//) next
            sub(/\/.*/, "", other)
            if (!(own in layer)) print where own " is in no layer"
            else if (!(other in layer)) print where other " is in no layer"
            else if (other != own && layer[other] >= layer[own]) print where own " may not include " other " (" text ")"
        }'
}

lint_libraries() { # who may see liburing and BearSSL
    code_lines keep "$@" | awk -F: '
        /#[ \t]*include[ \t]*[<"]liburing/ && $1 != "src/net/engine_ring.h" {
            print $1 ":" $2 ": only src/net/engine_ring.h includes liburing.h" }
        /#[ \t]*include[ \t]*[<"]bearssl/ && $1 !~ /^src\/(core\/hash\.c|net\/tls[a-z0-9_]*\.[ch]|provider\/jwt\.c)$/ {
            print $1 ":" $2 ": only src/core/hash.c, src/net/tls*.[ch] and src/provider/jwt.c include bearssl.h" }'
}

lint_calls() { # unbounded copies, the stack by the yard, and name lookups that load modules at run time
    code_lines drop "$@" | awk -F: '
        match($0, /(^|[^A-Za-z0-9_.>])(strcpy|strcat|sprintf|vsprintf|strtok|alloca|gets|getaddrinfo|gethostbyname)[ \t]*\(/) {
            call = substr($0, RSTART, RLENGTH); gsub(/[^a-z]/, "", call)
            print $1 ":" $2 ": banned call: " call }'
}

lint_guards() {
    local header guard
    for header; do
        guard=$(sed 's|^include/r2a/||; s|^src/||; s|[/.]|_|g' <<<"$header" | tr a-z A-Z)
        grep -q "^#ifndef R2A_$guard\$" "$header" || echo "$header: its guard should be R2A_$guard"
    done
}

lint_headers() { # each compiles alone
    export CC CFLAGS
    printf '%s\n' "$@" | xargs -P "$JOBS" -n 8 bash -c '
        for header; do
            case $header in include/*) name=${header#include/} ;; *) name=${header##*/} ;; esac
            printf "#include \"%s\"\n" "$name" | $CC $CFLAGS -Wno-pedantic -I"${header%/*}" -x c -fsyntax-only - 2>&1 | head -n 6
        done' _
}

lint_paths() { # nothing may know of a machine it was written on
    git ls-files -z --cached --others --exclude-standard | xargs -0 grep -nIE '(^|[^a-zA-Z0-9_.-])/wor[k]/' 2>/dev/null || true
}

do_lint() {
    local headers files rule found=0 log=$BUILD_DIR/lint
    need_compiler
    need format git
    use debug
    mkdir -p "$log"
    mapfile -t headers < <(find include src -name '*.h' | sort)
    mapfile -t files < <(find include src -name '*.[ch]' | sort)
    [ ${#headers[@]} -gt 0 ] || return 0
    for rule in layers libraries calls paths; do
        "lint_$rule" "${files[@]}" >"$log/$rule" 2>&1 &
    done
    lint_guards "${headers[@]}" >"$log/guards" 2>&1 &
    do_fmt --check 2>&1 | sed -nE 's/^([^ :]+:[0-9]+):[0-9]+: error: .*/\1: not in format: .\/build.sh fmt/p' | sort -t: -u -k1,1 >"$log/format" || true
    lint_headers "${headers[@]}" >"$log/headers" 2>&1
    wait
    for rule in layers libraries calls guards headers paths format; do
        [ -s "$log/$rule" ] || continue
        found=$((found + 1))
        echo "lint $rule:"
        head -n 40 "$log/$rule" | sed 's/^/  /'
    done
    [ $found -eq 0 ] || return 1
    echo "lint: ${#files[@]} files clean"
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

# tidy [FILTER]: clang-tidy over the sources whose path holds FILTER
do_tidy() {
    local files
    CC=clang-14
    need gcc clang tidy
    use debug
    mapfile -t files < <(find src -name '*.c' | sort | grep -F -e "${1:-}")
    [ ${#files[@]} -gt 0 ] || die "no source matches '$1'"
    printf '%s\n' "${files[@]}" | CFLAGS=$CFLAGS xargs -P "$JOBS" -I{} bash -c 'clang-tidy-14 --quiet "$1" -- $CFLAGS 2>/dev/null' _ {}
}
