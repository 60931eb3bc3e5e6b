#!/usr/bin/env bash
# Measures the gateway: accepted purchases a second, and "sold out" against nginx's `return 200` in turn, round by round.
#
#   dataplane/examples/purchase_rate.sh [rounds=5] [seconds=4]
#
# Needs nginx, wrk, taskset and two cores. Sold out: one gateway thread on core 0, wrk on core 1. Accepted: everything
# on both cores, as the host, the journal and wrk share them.
set -euo pipefail
rounds=${1:-5} seconds=${2:-4}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null; rm -rf "$work"' EXIT
cargo build --release --quiet -p flashsale-dataplane --example purchase_rate --manifest-path "$root/Cargo.toml"
target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$root/Cargo.toml" |
  sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
program=$target/release/examples/purchase_rate

# Every request is another buyer's, with a browser's headers.
cat > "$work/buyers.lua" <<'LUA'
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function init(args)
  n = 0
  local host = wrk.headers["Host"]
  before = "POST /v1/sales/phone-launch/purchases HTTP/1.1\r\nHost: " .. host .. "\r\nContent-Type: application/json\r\n" ..
    "Accept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" ..
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n" ..
    "Origin: https://shop.example\r\nReferer: https://shop.example/sales/phone-launch\r\n" ..
    "Idempotency-Key: 0f8fad5b-d9cb-469f-a165-70867728950e\r\nContent-Length: 38\r\nX-Buyer-Id: buyer-" .. id .. "-"
  after = '\r\n\r\n{"item":"phone-15-black","quantity":1}'
end
function request() n = n + 1; return before .. n .. after end
LUA

start() { # stock threads cpus -> address in $work/address, its pid in $pid
  rm -f "$work/stdin" "$work/address"; mkfifo "$work/stdin"
  # Opened before it is started, for both ends: it serves until this end is closed.
  exec 9<> "$work/stdin"
  taskset -c "$3" "$program" "$1" "$2" "$work" < "$work/stdin" > "$work/address" 9>&- & pid=$!; pids+=("$pid")
  until [[ -s $work/address ]]; do sleep 0.05; done
  address=$(head -1 "$work/address")
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }   # utime + stime, 1/100 s

echo "== accepted purchases: one gateway thread, host, journal and wrk on two cores"
for threads in 1 2; do
  start 20000000 "$threads" 0,1
  before=$(ticks "$pid")
  wrk -t1 -c64 -d"${seconds}s" -s "$work/buyers.lua" "$address" > "$work/wrk"
  after=$(ticks "$pid")
  kill "$pid"; wait "$pid" 2>/dev/null || true
  awk -v threads="$threads" -v t=$((after - before)) '/requests in/ { r = $1 } /Requests\/sec/ { rate = $2 } /Non-2xx/ { bad = $0 }
    END { printf "%d gateway threads %9.0f purchases/s  %6.2f CPU-us/purchase %s\n", threads, rate, t * 10000 / r, bad }' "$work/wrk"
done

echo "== sold out, one core each"
nginx_port=$(free_port)
cat > "$work/nginx.conf" <<CONF
worker_processes 1; daemon off; master_process off; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 1024; multi_accept on; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path $work/body; proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi; default_type application/problem+json;
  server { listen 127.0.0.1:$nginx_port backlog=4096; location / { return 200 '{"type":"sold-out","detail":"all gone!"}'; } }
}
CONF
taskset -c 0 nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null & nginx=$!; pids+=("$nginx")
start 0 1 0
until (: < "/dev/tcp/127.0.0.1/$nginx_port") 2>/dev/null; do sleep 0.05; done
round() { # name pid address
  local before after
  before=$(ticks "$2")
  taskset -c 1 wrk -t1 -c64 -d"${seconds}s" -s "$work/buyers.lua" "$3" > "$work/wrk"
  after=$(ticks "$2")
  awk -v name="$1" -v t=$((after - before)) '/requests in/ { r = $1 } /Requests\/sec/ { rate = $2 }
    END { printf "%-6s %9.0f requests/s  %6.2f CPU-us/request\n", name, rate, t * 10000 / r }' "$work/wrk" | tee -a "$work/rounds"
}
for _ in $(seq "$rounds"); do
  round nginx "$nginx" "http://127.0.0.1:$nginx_port"
  round ours "$pid" "$address"
done
python3 - "$work/rounds" <<'PY'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
rate, cpu = ({name: [float(r[i]) for r in rows if r[0] == name] for name in ("nginx", "ours")} for i in (1, 3))
for name in ("nginx", "ours"):
    print(f"{name:6} median {statistics.median(rate[name]):9.0f} requests/s  {statistics.median(cpu[name]):6.2f} CPU-us/request")
ratios = [a / b for a, b in zip(cpu["nginx"], cpu["ours"])]
print(f"per CPU {statistics.median(ratios):.2f}x nginx (rounds {min(ratios):.2f}-{max(ratios):.2f})"
      f", requests/s {statistics.median(a / b for a, b in zip(rate['ours'], rate['nginx'])):.2f}x")
PY
