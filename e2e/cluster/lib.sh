# Sourced by the programs of this folder: where things are, and how to reach into the cluster's parts.
#
# A cluster has three parts, each with network, mounts and process ids of its own: `core` (control plane, entry,
# servers beside the cluster), `node-a` and `node-b`. The first process of each is `pause`; with it ends all of
# the part, whatever state it is in, and the nodes end with `core`.
# shellcheck shell=bash
set -euo pipefail
# Pods of any user read what is made here; what is secret has a mode of its own.
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
cache=$HOME/.cache/flashsale
state=$(realpath -m "${CLUSTER:-$cache/cluster-$(printf %s "$checkout" | sha256sum | head -c 8)}")
# Names what has to be unique on the machine: a network device of at most 15 characters, the control groups.
id=$(printf %s "$state" | sha256sum | head -c 8)
kubernetes=1.34.4
kubeconfig=$state/kubeconfig
nodes=(a b)
# Inside the cluster's network; the address that everybody reaches, `host_ip`, is chosen by `up`.
core_ip=10.88.0.1
service_cidr=10.96.0.0/16
dns_ip=10.96.0.10
pod_cidr=10.244.0.0/16

step() {
  doing=$*
  printf '%4ss  %s\n' "$SECONDS" "$*"
}
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

node_ip() { case $1 in a) echo 10.88.0.11 ;; b) echo 10.88.0.12 ;; esac; }
node_pods() { case $1 in a) echo 10.244.1.0/24 ;; b) echo 10.244.2.0/24 ;; esac; }

# The folder of the programs, once they are built: its name says of what they were built.
programs_dir() {
  local of
  of=$(cd "$here" && cat build programs/*/go.mod programs/*/go.sum programs/*/*.go programs/*/*/*.go images/pause.c | sha256sum | head -c 12)
  echo "$cache/cluster-programs-v$kubernetes-$of"
}
programs=$(programs_dir)

# The host's process id of a part's first process; fails if the part isn't there.
init_of() {
  # As an exact regular expression: a path may hold a dot or a plus sign.
  pgrep -fx "[^ ]*/pause $(printf '%s' "$state $1" | sed 's/[][\.*^$+?(){}|]/\\&/g')" | head -1 | grep .
}

# Runs a command in a part: `inside core ip route`.
inside() {
  local pid
  pid=$(init_of "$1") || fail "no part $1 in the cluster of $state: run e2e/cluster/up"
  shift
  nsenter -t "$pid" -n -m -p -u -i -- "$@"
}

# Starts a program in a part under a name, detached, with its output in log/NAME.log: `start core etcd etcd --x`.
# It doesn't inherit the lock of who starts it.
start() {
  local part=$1 name=$2 pid
  shift 2
  pid=$(init_of "$part") || fail "no part $part to start $name in"
  # shellcheck disable=SC2016
  nsenter -t "$pid" -n -m -p -u -i -- setsid -f \
    sh -c 'echo $$ >"$1.pid"; exec >>"$2.log" 2>&1 </dev/null; shift 2; exec "$@"' sh \
    "$state/run/$name" "$state/log/$name" env PATH="$programs:$PATH" "$@" 8>&-
  echo "$part" >"$state/run/$name.part"
  printf '%s\0' "$@" >"$state/run/$name.command"
}

# Whether a started program still runs. Its id is one of its part's own, looked up in that part's /proc.
runs() {
  local init pid
  init=$(init_of "$(cat "$state/run/$1.part" 2>/dev/null)" 2>/dev/null) || return 1
  pid=$(cat "$state/run/$1.pid" 2>/dev/null) || return 1
  [ -d "/proc/$init/root/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$init/root/proc/$pid/status" 2>/dev/null
}

# Ends a started program with a signal, and waits until it is gone: `stop KILL etcd`.
stop() {
  runs "$2" || return 0
  inside "$(cat "$state/run/$2.part")" kill "-$1" "$(cat "$state/run/$2.pid")" 2>/dev/null || true
  local _
  for _ in $(seq 300); do
    runs "$2" || return 0
    sleep 0.1
  done
  fail "$2 doesn't end"
}

log_end() { echo "--- the end of $state/log/$1.log"; tail -n 25 "$state/log/$1.log" 2>/dev/null || echo "(no log)"; }

# Waits until a command succeeds; gives up at once when the program it waits for has ended:
# `await SECONDS PROGRAM WHAT COMMAND…`.
await() {
  local seconds=$1 program=$2 what=$3 until
  shift 3
  until=$((SECONDS + seconds))
  while ! "$@" >/dev/null 2>&1; do
    if ! runs "$program"; then
      log_end "$program" >&2
      fail "$program ended while waiting for $what"
    fi
    if [ $SECONDS -ge $until ]; then
      log_end "$program" >&2
      fail "no $what after $seconds s"
    fi
    sleep 0.2
  done
}

k() { "$programs/kubectl" --kubeconfig "$kubeconfig" "$@"; }
