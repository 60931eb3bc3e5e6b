# The parts of a cluster: their namespaces, networks, mounts and control groups. Sourced by the programs of this folder.
# shellcheck shell=bash

# Makes a part with namespaces of its own; a node is made from within core, and so ends with it.
make_part() {
  local part=$1 from=()
  [ "$part" = core ] || from=(nsenter -t "$(init_of core)" -n -m -p -u -i --)
  setsid -f "${from[@]}" unshare --net --mount --pid --uts --ipc --fork --mount-proc \
    "$programs/pause" "$state" "$part" >>"$state/log/$part.log" 2>&1 </dev/null 8>&-
  local _
  for _ in $(seq 100); do
    init_of "$part" >/dev/null && break
    sleep 0.05
  done
  init_of "$part" >/dev/null || { log_end "$part" >&2; fail "can't make namespaces (is this root, with leave to unshare?)"; }
  inside "$part" hostname "$part"
  inside "$part" ip link set lo up
  inside "$part" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

# The cable between this machine and core: the lowest 10.87.N.0/30 that no other cluster has.
cable_core() {
  local n
  for n in $(seq 0 255); do
    [ $n -lt 255 ] || fail "255 clusters already: end some with e2e/cluster/down"
    ip -o -4 addr | grep -F " 10.87.$n.1/" >/dev/null || break
  done
  host_ip=10.87.$n.2
  echo "$host_ip" >"$state/host-ip"
  ip link add "fs-$id" type veth peer name host netns "$(init_of core)"
  ip addr add "10.87.$n.1/30" dev "fs-$id"
  ip link set "fs-$id" up
  inside core ip addr add "$host_ip/30" dev host
  inside core ip link set host up
  # An address for the nodes that stays when a node's cable is gone.
  inside core ip addr add "$core_ip/32" dev lo
  # Commands in core find the cluster's names.
  printf 'search svc.cluster.local cluster.local\nnameserver %s\noptions ndots:5 timeout:2\n' $dns_ip >"$state/resolv.conf"
  inside core mount --bind "$state/resolv.conf" "$(realpath /etc/resolv.conf)"
}

# The cable between core and a node. Nothing is translated: a pod's address is its own everywhere.
cable_node() {
  local node=$1 part=node-$1 ip pid
  ip=$(node_ip "$node") pid=$(init_of "$part")
  nsenter -t "$(init_of core)" -n ip link add "$part" type veth peer name eth0 netns "$pid"
  inside "$part" ip addr add "$ip/32" dev eth0
  inside "$part" ip link set eth0 up
  inside "$part" ip route add $core_ip dev eth0
  inside "$part" ip route add default via $core_ip
  # So that what pods say to services of their own node passes the rules, too.
  inside "$part" sh -c 'echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables'
  plug_node "$node"
}

# Sets the cable's end in core up, with the ways to the node and its pods. Core reaches services through any node.
plug_node() {
  local part=node-$1 ip
  ip=$(node_ip "$1")
  inside core ip link set "$part" up
  inside core ip route replace "$ip" dev "$part" src $core_ip
  inside core ip route replace "$(node_pods "$1")" via "$ip" dev "$part" src $core_ip onlink
  inside core ip route replace $service_cidr via "$ip" dev "$part" src $core_ip onlink metric "${ip##*.}"
}

# Folders that programs insist on are a node's own; /run is empty as after a boot.
mount_node() {
  local part=node-$1 dir
  inside "$part" mount --make-rshared /
  for dir in kubelet containerd cni; do
    mkdir -p "/var/lib/$dir" "$state/$part/$dir"
    inside "$part" mount --bind "$state/$part/$dir" "/var/lib/$dir"
    inside "$part" mount --make-rshared "/var/lib/$dir"
  done
  mkdir -p "$state/$part/pods"
  inside "$part" mount --bind "$state/$part/pods" /var/log
  inside "$part" mount -t tmpfs tmpfs /run
}

# A node's own control group, in both worlds: version 1 has a tree for each controller, version 2 one for all.
cgroups_node() {
  local tree group file
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/flashsale-$id/node-$1"
    for group in "" "/flashsale-$id"; do
      for file in cpuset cpu io memory pids; do
        echo "+$file" >"/sys/fs/cgroup$group/cgroup.subtree_control" 2>/dev/null || true
      done
    done
    return
  fi
  for tree in /sys/fs/cgroup/*/; do
    [ -f "${tree}tasks" ] || continue
    for group in "flashsale-$id" "flashsale-$id/node-$1"; do
      mkdir -p "$tree$group"
      # Without these no process can enter.
      for file in cpuset.cpus cpuset.mems; do
        [ ! -f "$tree$group/$file" ] || [ -n "$(cat "$tree$group/$file")" ] || cat "$(dirname "$tree$group")/$file" >"$tree$group/$file"
      done
    done
  done
}

# Kills a part and waits until nothing of it is left.
kill_part() {
  local pid group _
  if pid=$(init_of "$1"); then
    kill -KILL "$pid" 2>/dev/null || true
    for _ in $(seq 600); do
      [ -d "/proc/$pid" ] || break
      sleep 0.05
    done
    [ ! -d "/proc/$pid" ] || fail "process $pid, the first one of $1, doesn't end"
  fi
}

# Removes the control groups below a path of each tree. A dying process may hold one for a moment.
remove_cgroups() {
  local _ group left
  for _ in $(seq 50); do
    left=0
    for group in "/sys/fs/cgroup/$1" /sys/fs/cgroup/*/"$1"; do
      [ -d "$group" ] || continue
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
    done
    [ $left = 1 ] || return 0
    sleep 0.1
  done
  echo "note: control groups named $1 stay in /sys/fs/cgroup" >&2
}
