#!/usr/bin/env bash
# Walks a buyer through a real sale in Chromium: serves walk.yaml with the given program, runs walk.mjs against it
# (a kill and a restart in the middle included) and ends everything it started.
#
#   run-walk.sh [release|debug|PATH-TO-FLASHSALE] [OUT-DIR-FOR-PICTURES]
#
# Exit: 0 every claim held · 1 one did not · 2 something needed is missing.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
program=${1:-release}
case $program in
  release | debug) program=${CARGO_TARGET_DIR:-$root/target}/$program/flashsale ;;
esac
fail() { echo "run-walk.sh: $1" >&2; exit 2; }
[ -x "$program" ] || fail "$program: no such program; build it with: cargo build -p flashsale"
command -v node >/dev/null || fail "node is missing (apt-get install nodejs npm)"
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || fail "${CHROMIUM:-/usr/bin/chromium} is missing (apt-get install chromium, or name another with CHROMIUM)"

# What the scripts need, outside the checkout and only once for each lock file.
modules=${XDG_CACHE_HOME:-$HOME/.cache}/flashsale/pages-dev-$(cksum <"$here/package-lock.json" | cut -d' ' -f1)
if [ ! -d "$modules/node_modules/playwright-core" ]; then
  mkdir -p "$modules" && cp "$here/package.json" "$here/package-lock.json" "$modules/" || fail "can't write to $modules"
  npm ci --prefix "$modules" --no-audit --no-fund --loglevel=error || fail "npm ci failed in $modules"
fi

work=$(mktemp -d) || fail "can't make a temporary directory"
log=$work/up.log
finish() {
  if [ -f "$work/pid" ]; then
    pid=$(cat "$work/pid")
    kill "$pid" 2>/dev/null
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts the server on the addresses given; waits until it says where it listens.
cat >"$work/start" <<EOF
#!/bin/sh
: >"$log"
"$program" up "$here/walk.yaml" --opens-in 12s --payment-timeout 10s --shards 4 --data "$work/data" --trust-header --plain \\
  --listen "\$1" --admin "\$2" >"$log" 2>&1 </dev/null &
echo \$! >"$work/pid"
for _ in \$(seq 100); do
  grep -q '^live page' "$log" && exit 0
  kill -0 "\$(cat "$work/pid")" 2>/dev/null || break
  sleep 0.1
done
echo "flashsale up did not start:" >&2
cat "$log" >&2
exit 1
EOF
sh "$work/start" 127.0.0.1:0 127.0.0.1:0 || exit 1
base=$(sed -n 's/^sale page *\(http.*[^/]\)\/*$/\1/p' "$log")
admin=$(sed -n 's/^live page *\(http.*\)\/live$/\1/p' "$log")

restart="kill -9 \$(cat '$work/pid'); sleep 4; sh '$work/start' '${base#http://}' '${admin#http://}'"
FLASHSALE_DEV_MODULES=$modules node "$here/walk.mjs" --base "$base" --admin "$admin" --restart "$restart" ${2:+--out "$2"}
code=$?
[ $code -eq 0 ] || { echo "--- the server's last lines:" >&2; tail -n 20 "$log" >&2; }
exit $code
