#!/usr/bin/env bash
# Compares this server with nginx: the same purchase request, one core each, in turn, round by round.
# Prints requests per second and CPU time per request for each round, and the medians with their ratio.
#
#   dataplane/http/bench/vs_nginx.sh [rounds=5] [seconds=4]
#
# Needs nginx, wrk, taskset and two cores: the servers run on core 0, wrk on core 1.
set -euo pipefail
rounds=${1:-5} seconds=${2:-4}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT

cargo build --release --quiet -p flashsale-http --example hello --manifest-path "$here/../Cargo.toml"
target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$here/../Cargo.toml" |
  sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
nginx_port=$(free_port)
cat > "$work/nginx.conf" <<CONF
worker_processes 1;
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/error.log;
events { worker_connections 1024; multi_accept on; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path $work/body;
  proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi;
  scgi_temp_path $work/scgi;
  default_type application/problem+json;
  server {
    listen 127.0.0.1:$nginx_port backlog=4096;
    location / { return 200 '{"type":"sold-out","detail":"all gone!"}'; }
  }
}
CONF
taskset -c 0 nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null & nginx=$!; pids+=("$nginx")
taskset -c 0 "$target/release/examples/hello" 127.0.0.1:0 > "$work/address" & ours=$!; pids+=("$ours")
until [[ -s $work/address ]] && (: < "/dev/tcp/127.0.0.1/$nginx_port") 2>/dev/null; do sleep 0.05; done
our_port=$(sed 's/.*://' "$work/address")

ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }   # utime + stime, 1/100 s
round() { # name pid port
  local before after requests rate
  before=$(ticks "$2")
  taskset -c 1 wrk -t1 -c64 -d"${seconds}s" -s "$here/purchase.lua" "http://127.0.0.1:$3" > "$work/wrk"
  after=$(ticks "$2")
  requests=$(awk '/requests in/ { print $1 }' "$work/wrk")
  rate=$(awk '/Requests\/sec/ { print $2 }' "$work/wrk")
  awk -v name="$1" -v r="$requests" -v t=$((after - before)) -v rate="$rate" \
    'BEGIN { printf "%-6s %9.0f requests/s  %6.2f CPU-us/request\n", name, rate, t * 10000 / r }' | tee -a "$work/rounds"
}
for turn in $(seq "$rounds"); do
  # Each goes first in turn, so that a load that comes and goes favours neither.
  if ((turn % 2)); then
    round nginx "$nginx" "$nginx_port"
    round ours "$ours" "$our_port"
  else
    round ours "$ours" "$our_port"
    round nginx "$nginx" "$nginx_port"
  fi
done
python3 - "$work/rounds" <<'PY'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
rate, cpu = ({name: [float(r[i]) for r in rows if r[0] == name] for name in ("nginx", "ours")} for i in (1, 3))
for name in ("nginx", "ours"):
    print(f"{name:6} median {statistics.median(rate[name]):9.0f} requests/s ({min(rate[name]):.0f}-{max(rate[name]):.0f})"
          f"  {statistics.median(cpu[name]):6.2f} CPU-us/request ({min(cpu[name]):.2f}-{max(cpu[name]):.2f})")
ratios = [a / b for a, b in zip(cpu["nginx"], cpu["ours"])]
print(f"per CPU {statistics.median(ratios):.2f}x nginx (rounds {min(ratios):.2f}-{max(ratios):.2f})"
      f", requests/s {statistics.median(a / b for a, b in zip(rate['ours'], rate['nginx'])):.2f}x")
PY
