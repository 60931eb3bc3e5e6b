# Kubernetes in the parts of a cluster: certificates, control plane, nodes. Sourced by the programs of this folder.
# shellcheck shell=bash

# One authority, and a certificate for everybody who speaks to the API server under a name of their own.
make_certificates() {
  mkdir -p -m 700 "$state/pki"
  cd "$state/pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 365 \
    -subj "/CN=cluster-$id" 2>/dev/null
  openssl ecparam -name prime256v1 -genkey -noout -out sa.key
  openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
  certificate apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$core_ip,IP:$host_ip,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate admin /O=system:masters/CN=admin
  certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate proxy /CN=system:kube-proxy
  certificate provisioner /CN=local-path-provisioner
  certificate traefik /CN=traefik
  certificate policies /CN=kube-router
  # The shop that the operator calls, as a scenario plays it.
  certificate shop /CN=shop "IP:$core_ip,IP:$host_ip"
  for node in "${nodes[@]}"; do
    certificate "node-$node" "/O=system:nodes/CN=system:node:node-$node" "DNS:node-$node,IP:$(node_ip "$node")"
  done
  cd - >/dev/null
}

certificate() { # NAME SUBJECT [ALTERNATIVE-NAMES]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 365 \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${3:-DNS:$1}") 2>/dev/null
  # The credentials are in the file itself, so that it works wherever it is copied to.
  cat >"$state/pki/$1.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: local, cluster: {server: "https://$host_ip:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: local, context: {cluster: local, user: $1}}]
current-context: local
K
}

start_api() {
  local pki=$state/pki
  # What is lost with the machine is no loss here: etcd needn't wait for the disk.
  start core etcd etcd --data-dir "$state/etcd" --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync
  start core kube-apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 \
    --bind-address=0.0.0.0 --advertise-address=$core_ip --tls-cert-file="$pki/apiserver.crt" \
    --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP --service-account-key-file="$pki/sa.pub" \
    --service-account-signing-key-file="$pki/sa.key" --service-account-issuer=https://kubernetes.default.svc \
    --service-cluster-ip-range=$service_cidr --authorization-mode=Node,RBAC --allow-privileged=true \
    --enable-admission-plugins=NodeRestriction --audit-policy-file="$here/manifests/audit-policy.yaml" \
    --audit-log-path="$state/audit.log" --audit-log-format=json \
    --audit-log-maxsize=4096
}

start_controllers() {
  local pki=$state/pki
  start core kube-controller-manager kube-controller-manager --kubeconfig="$pki/controller-manager.kubeconfig" \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --use-service-account-credentials \
    --cluster-cidr=$pod_cidr --allocate-node-cidrs=false --leader-elect=false \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" --node-monitor-grace-period=20s
  start core kube-scheduler kube-scheduler --kubeconfig="$pki/scheduler.kubeconfig" --leader-elect=false
}

api_ready() { curl -sf --max-time 2 --cacert "$state/pki/ca.crt" "https://$host_ip:6443/readyz" | grep -x ok >/dev/null; }

# Starts a node's container runtime, and gives it the images that are in the state directory.
start_runtime() {
  local part=node-$1
  mkdir -p "$state/$part/etc/cni"
  cat >"$state/$part/etc/cni/10-pods.conflist" <<C
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$(node_pods "$1")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
  cat >"$state/$part/etc/containerd.toml" <<C
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/local/pause:1"
  # A machine without CAP_SYS_RESOURCE may not lower a score: without this no sandbox starts there.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/$part/etc/cni"
C
  start "$part" "containerd-$1" containerd -c "$state/$part/etc/containerd.toml"
}

runtime_ready() { inside "node-$1" ctr -n k8s.io version; }

start_kubelet() {
  local part=node-$1 pki=$state/pki
  cat >"$state/$part/etc/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /flashsale-$id/$part
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/$part.crt
tlsPrivateKeyFile: $pki/$part.key
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
resolvConf: ""
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
# Images come from no registry: one that was removed to save space would be gone.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}
nodeLeaseDurationSeconds: 10
# Its first version has a data race at the start.
featureGates: {DynamicResourceAllocation: false}
C
  start "$part" "kubelet-$1" kubelet --config="$state/$part/etc/kubelet.yaml" --kubeconfig="$pki/$part.kubeconfig" \
    --hostname-override="$part" --node-ip="$(node_ip "$1")" \
    --node-labels="topology.kubernetes.io/region=local,topology.kubernetes.io/zone=$1"
  start "$part" "kube-proxy-$1" kube-proxy --kubeconfig="$pki/proxy.kubeconfig" --hostname-override="$part" \
    --cluster-cidr=$pod_cidr --proxy-mode=iptables --conntrack-max-per-core=0
}

node_ready() { k wait --for=condition=Ready --timeout=0s "node/node-$1"; }

# Starts a node from its namespaces to its runtime; `start_kubelet` follows once it has its images.
make_node() {
  make_part "node-$1"
  mount_node "$1"
  cable_node "$1"
  cgroups_node "$1"
  start_runtime "$1"
}
