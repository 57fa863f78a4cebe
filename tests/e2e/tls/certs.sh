#!/usr/bin/env bash
# Makes the certificates that TLS tests need, good and bad, by the openssl command: certs.sh FOLDER.
# Each NAME becomes NAME.pem (the chain a server sends, leaf first) and NAME.key; roots are ROOT.pem; all roots a test
# trusts are in trust.pem. Nothing in here is a secret, and nothing is used outside of tests.
set -euo pipefail

dir=$1
mkdir -p "$dir"
cd "$dir"
export LC_ALL=C
exec 2>log

key() { # NAME KIND
    case $2 in
    rsa*) openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:${2#rsa}" -out "$1.key" 2>/dev/null ||
        openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:${2#rsa}" -out "$1.key" ;;
    p*) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:P-${2#p}" -out "$1.key" ;;
    ed25519) openssl genpkey -algorithm ed25519 -out "$1.key" ;;
    esac
}

root() { # NAME KIND
    key "$1" "$2"
    openssl req -x509 -new -key "$1.key" -sha256 -days 3650 -subj "/O=ring2api test/CN=root $1" -out "$1.pem" \
        -addext 'keyUsage=critical,keyCertSign,cRLSign'
}

# cert NAME KIND ISSUER EXTENSIONS [OPTION..]: NAME.crt signed by ISSUER (ISSUER.crt or, for a root, ISSUER.pem)
cert() {
    local name=$1 kind=$2 issuer=$3 extensions=$4 issuer_cert=$3.crt
    shift 4
    [ -f "$issuer_cert" ] || issuer_cert=$issuer.pem
    [ -f "$name.key" ] || key "$name" "$kind"
    openssl req -new -key "$name.key" -subj "/O=ring2api test/CN=$name" -out "$name.csr"
    printf '%b' "$extensions" >"$name.ext"
    [ $# -gt 0 ] || set -- -sha256
    openssl x509 -req -in "$name.csr" -CA "$issuer_cert" -CAkey "$issuer.key" -set_serial "0x$(openssl rand -hex 8)" -days 365 \
        -extfile "$name.ext" -out "$name.crt" "$@"
}

dated() { # NAME ISSUER FROM TO: a leaf with dates of its own
    mkdir -p "ca-$1"
    : >"ca-$1/index"
    [ -f "$1.key" ] || key "$1" p256
    openssl req -new -key "$1.key" -subj "/O=ring2api test/CN=$1" -out "$1.csr"
    printf '%b' "$leaf" >"$1.ext"
    printf '[ca]\ndefault_ca=x\n[x]\ndatabase=ca-%s/index\nnew_certs_dir=ca-%s\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\norganizationName=optional\n' \
        "$1" "$1" >"ca-$1/cnf"
    openssl ca -batch -notext -config "ca-$1/cnf" -in "$1.csr" -cert "$2.crt" -keyfile "$2.key" -startdate "$3" -enddate "$4" \
        -extfile "$1.ext" -out "$1.crt"
}

chain() { # NAME CERT..: what the server sends
    local name=$1
    shift
    cat "${@/%/.crt}" >"$name.pem"
}

ca='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
leaf='basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,DNS:api.example,DNS:*.wild.example\n'
addresses='basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1,IP:::1,IP:192.0.2.7\n'

root ec p256 &
root rsa rsa2048 &
root p384 p384 &
root stranger p256 &
root big rsa4608 & # more than the 4096 bits that can be verified
wait

# the good: EC, RSA, the largest curves, a certificate for addresses
cert ec-int p256 ec "$ca"
cert ec-leaf p256 ec-int "$leaf"
chain good ec-leaf ec-int && cp ec-leaf.key good.key
cert rsa-int rsa2048 rsa "$ca"
cert rsa-leaf rsa2048 rsa-int "${leaf/digitalSignature/digitalSignature,keyEncipherment}"
chain good-rsa rsa-leaf rsa-int && cp rsa-leaf.key good-rsa.key
cert p384-int p384 p384 "$ca"
cert p384-leaf p256 p384-int "$leaf"
chain good-p384 p384-leaf p384-int && cp p384-leaf.key good-p384.key
cert p384-full p384 p384-int "$leaf"
chain good-p384-leaf p384-full p384-int && cp p384-full.key good-p384-leaf.key
cert ip-leaf p256 ec-int "$addresses"
chain good-ip ip-leaf ec-int && cp ip-leaf.key good-ip.key
cert cn-leaf p256 ec-int 'basicConstraints=CA:FALSE\n'
chain name-in-cn cn-leaf ec-int && cp cn-leaf.key name-in-cn.key
# the same key and name in another chain, for the cache of validated ones
cert other-int p256 ec "$ca"
cp ec-leaf.key other-leaf.key
cert other-leaf p256 other-int "$leaf"
chain good-other other-leaf other-int && cp other-leaf.key good-other.key
# with the root at its end, as some servers send it
cat ec-leaf.crt ec-int.crt ec.pem >good-with-root.pem && cp ec-leaf.key good-with-root.key

# the bad
dated expired ec-int 20200101000000Z 20210101000000Z
cat expired.crt ec-int.crt >expired.pem
dated future ec-int 20900101000000Z 20910101000000Z
cat future.crt ec-int.crt >future.pem
cert strange-leaf p256 stranger "$leaf"
chain unknown-issuer strange-leaf && cp strange-leaf.key unknown-issuer.key
key self-signed p256
openssl req -x509 -new -key self-signed.key -sha256 -days 365 -subj '/CN=localhost' -addext 'subjectAltName=DNS:localhost' -out self-signed.pem
cert elsewhere p256 ec-int 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:elsewhere.example\n'
chain wrong-host elsewhere ec-int && cp elsewhere.key wrong-host.key
chain no-intermediate ec-leaf && cp ec-leaf.key no-intermediate.key
cat ec-leaf.crt ec.pem >gap.pem && cp ec-leaf.key gap.key
cat ec-leaf.crt rsa-int.crt ec-int.crt >disordered.pem && cp ec-leaf.key disordered.key
cert bound-int p256 ec "${ca}nameConstraints=critical,permitted;DNS:example\n"
cert bound-leaf p256 bound-int "$leaf"
chain constraints bound-leaf bound-int && cp bound-leaf.key constraints.key
cert big-leaf p256 big "$leaf"
cat big-leaf.crt big.pem >big-key.pem && cp big-leaf.key big-key.key
cert pss-leaf p256 rsa "$leaf" -sha256 -sigopt rsa_padding_mode:pss
chain pss-signature pss-leaf && cp pss-leaf.key pss-signature.key
cert sha1-leaf p256 ec-int "$leaf" -sha1
chain sha1-signature sha1-leaf ec-int && cp sha1-leaf.key sha1-signature.key
cert ed-leaf ed25519 ec-int "$leaf"
chain ed25519-key ed-leaf ec-int && cp ed-leaf.key ed25519-key.key
# a leaf that plays an authority
cert fake-leaf p256 ec-leaf "$leaf"
cat fake-leaf.crt ec-leaf.crt ec-int.crt >leaf-as-ca.pem && cp fake-leaf.key leaf-as-ca.key
# more certificates than are kept: the same intermediate over and over
{ cat ec-leaf.crt; for _ in $(seq 40); do cat rsa-int.crt; done; } >too-long.pem && cp ec-leaf.key too-long.key

cat ec.pem rsa.pem p384.pem big.pem >trust.pem
for name in *.pem; do # the same without the leaf, for servers that want it apart: NAME.rest, absent when nothing is left
    awk '/BEGIN CERT/ { n++ } n > 1' "$name" >"${name%.pem}.rest"
    [ -s "${name%.pem}.rest" ] || rm "${name%.pem}.rest"
done
rm -rf ./*.csr ./*.ext ca-*
