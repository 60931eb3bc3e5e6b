#!/usr/bin/env bash
# Tests a running server against the description of its API, with generated requests.
#
#   dataplane/openapi/check.sh http://127.0.0.1:8080 [sale=phone-launch] [examples=100]
#
# FLASHSALE_PAYMENT_SECRET, if given, signs payment reports. The server must believe X-Buyer-Id (`--trust-header`). Needs Python 3; Schemathesis is installed into a cache directory.
set -euo pipefail
base=${1:?"usage: $0 BASE_URL [sale] [examples]"} sale=${2:-phone-launch} examples=${3:-100}
venv=${XDG_CACHE_HOME:-$HOME/.cache}/flashsale/schemathesis
if [[ ! -x $venv/bin/schemathesis ]]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet 'schemathesis>=4.32,<5'
fi
here=$(cd "$(dirname "$0")" && pwd)
# Another buyer each time, so that what an earlier check bought is not in the way.
export FLASHSALE_BASE=$base FLASHSALE_SALE=$sale FLASHSALE_BUYER="check-$(date +%s)-$$"
# It keeps what it found where it runs.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/hooks.py" "$here/schemathesis.toml" "$work"
cd "$work"
PYTHONDONTWRITEBYTECODE=1 \
  "$venv/bin/schemathesis" --config-file "$work/schemathesis.toml" run "$base/openapi.json" --url "$base" \
  --max-examples "$examples" --workers 1
