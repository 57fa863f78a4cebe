# Source builds of the two libraries the program stands on. Sourced by build.sh; needs ROOT, DEPS, JOBS, say, die.
#
# A source comes, first found wins, from: the folder or tarball in BEARSSL_SRC / LIBURING_SRC; a tarball fetched
# earlier into $DEPS/sources; `apt-get source` of the distribution, with source lists made for this one call (no
# root, nothing changed on the system). A tarball must match a row of third_party/<name>/pins; only where the
# distribution has another version is that one taken, on its signature, and said. A folder is the caller's word.
# Both end as static libraries under $DEPS/<name>-<id>-<libc>/{include,lib}, beside two small files:
# `version` and `defines` (what the found version offers beyond the pinned one).

BEARSSL_CFLAGS='-O2 -fPIE -fstack-protector-strong -fno-math-errno'
LIBURING_CFLAGS='-O2 -fPIE -fstack-protector-strong -D_GNU_SOURCE'
MUSL_KERNEL_HEADERS="-idirafter /usr/include -idirafter /usr/include/$(uname -m)-linux-gnu"

pin_version() { # NAME SHA256: the pinned version with this checksum, or nothing
    awk -v sum="$2" '$2 == sum { print $1 }' "$ROOT/third_party/$1/pins"
}

sha256_of() {
    sha256sum "$1" | cut -d' ' -f1
}

# Fetches the distribution's source tarball of NAME into $DEPS/sources. Fails quietly where there is no apt or no net.
source_fetch() {
    local name=$1 work=$DEPS/sources/.apt file
    command -v apt-get >/dev/null || return 1
    mkdir -p "$work/parts" "$work/lists/partial" "$work/cache/archives/partial"
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/parts/${file##*/}"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >"$work/parts/${file##*/}"
    done
    local options=(-q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts"
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=
        -o Acquire::Retries=2)
    say "fetching the source of $name by apt-get source"
    apt-get "${options[@]}" update >"$work/log" 2>&1 || return 1
    (cd "$DEPS/sources" && apt-get "${options[@]}" source --download-only "$name" >>"$work/log" 2>&1)
}

# Unpacks the source of NAME; prints "ID VERSION FOLDER", ID naming exactly this source.
source_take() {
    local name=$1 given=$2 tarball='' folder sum version
    mkdir -p "$DEPS/sources"
    if [ -d "$given" ]; then
        sum=$(cd "$given" && find . -name '*.[chS]' -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-12)
        echo "$sum given $(cd "$given" && pwd)"
        return
    elif [ -n "$given" ]; then
        tarball=$given
        [ -f "$tarball" ] || die "no such folder or tarball: $given"
    else
        tarball=$(source_pinned "$name") || {
            source_fetch "$name" >&2 || return 1
            tarball=$(source_pinned "$name" || find "$DEPS/sources" -name "${name}_*.orig.tar.[gx]z" | sort -V | tail -n 1)
        }
        [ -n "$tarball" ] || return 1
    fi
    sum=$(sha256_of "$tarball")
    version=$(pin_version "$name" "$sum")
    if [ -z "$version" ]; then
        [ -z "$given" ] || die "$tarball: sha256 $sum is not in third_party/$name/pins"
        version=${tarball##*_} version=${version%.orig.tar.*}
        say "$name $version is not in third_party/$name/pins: taken on the distribution's signature"
    fi
    folder=$DEPS/sources/$name-$version
    if [ ! -f "$folder/.unpacked" ]; then
        rm -rf "$folder" && mkdir -p "$folder"
        tar -xf "$tarball" -C "$folder" --strip-components=1 && touch "$folder/.unpacked"
    fi
    echo "${sum:0:12} $version $folder"
}

source_pinned() { # a tarball fetched earlier that matches a pin
    local name=$1 file
    for file in "$DEPS/sources/${name}_"*.orig.tar.*; do
        case $file in *.asc | *'*'*) continue ;; esac
        [ -n "$(pin_version "$name" "$(sha256_of "$file")")" ] && echo "$file" && return 0
    done
    return 1
}

# library NAME LIBC: leaves the prefix of the built library in REPLY; fails when there is no source.
library() {
    local name=$1 libc=$2 given id version folder prefix cc=gcc
    case $name in bearssl) given=${BEARSSL_SRC:-} ;; *) given=${LIBURING_SRC:-} ;; esac
    REPLY=$DEPS/$name-$libc
    if [ -z "$given" ] && [ -f "$REPLY/pins" ] && cmp -s "$REPLY/pins" "$ROOT/third_party/$name/pins"; then
        return 0 # built from the pinned source before
    fi
    read -r id version folder < <(source_take "$name" "$given") || true
    [ -n "${folder:-}" ] || return 1
    prefix=$DEPS/$name-$libc
    if [ -n "$given" ]; then
        prefix=$prefix-$id
        REPLY=$prefix
        [ -f "$prefix/pins" ] && return 0
    fi
    [ "$libc" = musl ] && cc="musl-gcc $MUSL_KERNEL_HEADERS"
    say "building $name ($version) for $libc"
    rm -rf "$prefix.new" && mkdir -p "$prefix.new/include" "$prefix.new/lib" "$prefix.new/obj"
    "library_$name" "$folder" "$prefix.new" "$cc" >"$prefix.new/log" 2>&1 ||
        { tail -n 30 "$prefix.new/log" >&2; die "$name did not build, see $prefix.new/log"; }
    echo "$version" >"$prefix.new/version"
    library_defines "$name" "$prefix.new" "$cc" >"$prefix.new/defines"
    cp "$ROOT/third_party/$name/pins" "$prefix.new/pins"
    rm -rf "$prefix" "$prefix.new/obj" && mv "$prefix.new" "$prefix"
}

library_bearssl() { # FOLDER PREFIX CC
    local folder=$1 prefix=$2
    cp "$folder"/inc/*.h "$prefix/include/"
    (cd "$folder" && find src -name '*.c' | LC_ALL=C sort |
        CC=$3 FLAGS=$BEARSSL_CFLAGS OBJ=$prefix/obj xargs -P "$JOBS" -n 8 sh -ec '
            for file; do $CC $FLAGS -Isrc -Iinc -c "$file" -o "$OBJ/$(echo "$file" | tr / _).o"; done' sh) || return 1
    ar rcsD "$prefix/lib/libbearssl.a" "$prefix/obj/"*.o
}

library_liburing() { # FOLDER PREFIX CC. Its configure writes into the source, so it works on a copy.
    local folder=$1 prefix=$2 cc=$3 file objects=()
    cp -r "$folder" "$prefix/obj/source"
    (
        cd "$prefix/obj/source"
        ./configure --cc="$cc" --cxx=false --prefix=/usr || exit 1
        for file in setup queue register syscall version; do
            [ -f "src/$file.c" ] || continue
            $cc $LIBURING_CFLAGS -DLIBURING_INTERNAL -include config-host.h -Isrc/include -c "src/$file.c" -o "../$file.o" || exit 1
        done
        cp -r src/include/. "$prefix/include/"
    ) || return 1
    ar rcsD "$prefix/lib/liburing.a" "$prefix/obj/"*.o
}

# Flags for what a newer library offers, found by compiling a probe.
library_defines() { # NAME PREFIX CC
    [ "$1" = bearssl ] || return 0
    echo '#include <bearssl.h>
int main(void) { return br_ec_p256_m64_get() == 0 && br_ec_c25519_m64_get() == 0; }' >"$2/obj/probe.c"
    if $3 -Werror -I"$2/include" "$2/obj/probe.c" "$2/lib/libbearssl.a" -o "$2/obj/probe" 2>/dev/null; then
        echo -DR2A_BEARSSL_M64
    fi
}
