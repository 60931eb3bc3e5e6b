#!/usr/bin/env bash
# Serves a sale with the given program, checks its API against the description, and ends it.
#
#   dataplane/openapi/run.sh PATH-TO-FLASHSALE [examples=60]
set -euo pipefail
program=${1:?"usage: $0 PATH-TO-FLASHSALE [examples]"} examples=${2:-60}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
"$program" up "$here/../../examples/phone-launch.yaml" --opens-in 1s --data "$work/data" --trust-header --plain \
  --listen 127.0.0.1:0 --admin 127.0.0.1:0 --ready-file "$work/ready" >"$work/log" 2>&1 </dev/null &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 300); do
  [ -s "$work/ready" ] && break
  kill -0 $pid 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done
address=$(sed -nE 's/.*"listen": *"([^"]+)".*/\1/p' "$work/ready")
export FLASHSALE_PAYMENT_SECRET=$(cat "$work/data/payment-secret")
"$here/check.sh" "http://$address" phone-launch "$examples"
