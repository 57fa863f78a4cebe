#!/usr/bin/env bash
# End-to-end tests: the built program (R2A_BIN) under the official clients, a mock upstream and raw sockets; called by
# ./build.sh e2e [FILTER]. E2E_JOBS tests run at a time, E2E_SLOW=1 includes what else runs in ci only, E2E_TIMES=1 lists the
# slowest, E2E_KEEP=1 keeps the files of tests that passed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${R2A_BIN:?run ./build.sh e2e}"
export E2E_TMP=${E2E_TMP:-/tmp/r2a-e2e}
export PYTHONDONTWRITEBYTECODE=1
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
rm -rf "$E2E_TMP/run"
mkdir -p "$E2E_TMP/run"
# certificates are made once, and again when their script changes
stamp=$(sha256sum <"$here/tls/certs.sh" | cut -c1-12)
if [ "$(cat "$E2E_TMP/tls/.stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$E2E_TMP/tls"
    bash "$here/tls/certs.sh" "$E2E_TMP/tls"
    echo "$stamp" >"$E2E_TMP/tls/.stamp"
fi
export E2E_CERTS=$E2E_TMP/tls
exec "${E2E_PYTHON:-python3}" "$here/run.py" "$@"
