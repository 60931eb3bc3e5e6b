# What a cluster needs beside Kubernetes: images, names, volumes, an entry. Sourced by `up`.
# shellcheck shell=bash

traefik_version=3.7.15
traefik=$cache/traefik-$traefik_version/bin/traefik

# The images of the cluster itself, and those of tests; the project's own come with build-image and load-image.
make_images() {
  "$here/build-image" local/pause:1 "$state/images/pause.tar" "$programs/pause" >/dev/null &
  "$here/build-image" local/busybox:1 "$state/images/busybox.tar" --applets "$(command -v busybox)" "$(command -v curl)" >/dev/null &
  "$here/build-image" local/redis:7 "$state/images/redis.tar" "$(command -v redis-server)" "$(command -v redis-cli)" >/dev/null &
  "$here/build-image" local/coredns:1 "$state/images/coredns.tar" "$programs/coredns" >/dev/null &
  wait
}

load_images() {
  local name loads=() load
  for name in pause:1 busybox:1 redis:7 coredns:1; do
    [ -f "$state/images/${name%:*}.tar" ] || fail "the image of ${name%:*} wasn't made: see above"
    "$here/load-image" "local/$name" "$state/images/${name%:*}.tar" &
    loads+=($!)
  done
  for load in "${loads[@]}"; do
    wait "$load" || fail "an image can't be loaded: see above"
  done
}

install_traefik() {
  [ ! -x "$traefik" ] || return 0
  local home=$cache/traefik-$traefik_version
  rm -rf "$home"
  python3 -m venv "$home.new"
  "$home.new/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/programs/traefik.txt"
  mv "$home.new" "$home"
}

apply() { k apply --server-side --force-conflicts -f "$1" >/dev/null || fail "can't apply $1"; }

install_addons() {
  step "names, volumes, entry"
  apply "$here/manifests/names.yaml"
  apply "$here/manifests/volumes.yaml"
  apply "$programs/gateway-api.yaml"
  k wait --for=condition=Established --timeout=30s crd/gateways.gateway.networking.k8s.io \
    crd/gatewayclasses.gateway.networking.k8s.io crd/httproutes.gateway.networking.k8s.io >/dev/null
  apply "$here/manifests/entry.yaml"
  start_provisioner
  start_traefik
}

start_provisioner() {
  cat >"$state/volumes.json" <<J
{"nodePathMap": [
  {"node": "node-a", "paths": ["$state/node-a/volumes"]},
  {"node": "node-b", "paths": ["$state/node-b/volumes"]}]}
J
  start core local-path-provisioner local-path-provisioner start --config "$state/volumes.json" \
    --kubeconfig "$state/pki/provisioner.kubeconfig" --namespace volumes --service-account-name helper \
    --configmap-name helper --helper-image docker.io/local/busybox:1 --helper-pod-file "$here/manifests/volume-helper.yaml"
}

# The entry's ports are those that the gateway's listeners name; 8081 tells that it is alive, and its numbers.
start_traefik() {
  start core traefik env KUBECONFIG="$state/pki/traefik.kubeconfig" "$traefik" \
    --global.checknewversion=false --global.sendanonymoususage=false --log.level=INFO \
    --entrypoints.web.address=:80 --entrypoints.websecure.address=:443 --entrypoints.traefik.address=:8081 \
    --ping --metrics.prometheus --providers.providersthrottleduration=200ms \
    --providers.kubernetesgateway --providers.kubernetesgateway.statusaddress.ip="$host_ip" \
    --providers.kubernetesingress --providers.kubernetesingress.ingressclass=traefik \
    --providers.kubernetesingress.ingressendpoint.ip="$host_ip"
}

entry_ready() {
  curl -sf --max-time 2 "http://$host_ip:8081/ping" >/dev/null &&
    k wait --for=condition=Programmed --timeout=0s -n entry gateway/shop-gateway
}

await_addons() {
  await 60 traefik "programmed gateway" entry_ready
  await 60 kubelet-a "answer to cluster names" k rollout status -n kube-system deployment/coredns --timeout=1s
}

# What tests read: `set -a; . env`.
write_env() {
  {
    echo "CLUSTER=$state"
    echo "KUBECONFIG=$kubeconfig"
    echo "PROGRAMS=$programs"
    echo "HOST_IP=$host_ip"
    echo "ENTRY_URL=http://$host_ip"
    echo "AUDIT_LOG=$state/audit.log"
    if [ -f "$state/servers.env" ]; then
      cat "$state/servers.env"
    fi
  } >"$state/env.new"
  mv "$state/env.new" "$state/env"
}
