//go:build linux

package node

import (
	"errors"
	"os"
	"strings"
)

// configure writes what the machine's services read.
func (c Config) configure() error {
	fill := strings.NewReplacer(
		"NAME", c.Name, "PODS", c.pods(), "CREDENTIALS", c.Credentials, "PAUSE", c.Pause, "GATEWAY", Gateway,
	).Replace
	var failed []error
	for file, text := range map[string]string{
		"/run/containerd.toml":            containerd,
		"/run/cni/net.d/10-pods.conflist": pods,
		"/run/kubelet.yaml":               kubelet,
		"/run/proxy.yaml":                 proxy,
	} {
		failed = append(failed, os.MkdirAll("/run/cni/net.d", 0o755), os.WriteFile(file, []byte(fill(text)), 0o644))
	}
	return errors.Join(failed...)
}

// containerd: some machines may not lower the score by which the kernel picks
// whom to kill when memory runs out (CAP_SYS_RESOURCE); hence
// restrict_oom_score_adj, without which no sandbox starts there.
const containerd = `
version = 2
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "PAUSE"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/cni/net.d"
`

const pods = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}
}]}
`

// kubelet: nothing that it may write is shared with other machines, and a full
// disk of the developer's is no reason to evict anything.
const kubelet = `
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
makeIPTablesUtilChains: false
volumePluginDir: /var/lib/kubelet/plugins-exec
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: CREDENTIALS/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: CREDENTIALS/kubelet.crt
tlsPrivateKeyFile: CREDENTIALS/kubelet.key
clusterDNS: [GATEWAY]
clusterDomain: cluster.local
resolvConf: ""
evictionHard: {memory.available: 50Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 2s
maxPods: 50
`

const proxy = `
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: NAME
clusterCIDR: 10.244.0.0/16
clientConnection: {kubeconfig: CREDENTIALS/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`
