package cluster

import (
	"errors"
	"os"
	"path/filepath"
)

// Kubelet fills a folder with what a node's kubelet and kube-proxy need: ca.crt,
// kubelet.crt, kubelet.key, kubelet.kubeconfig and proxy.kubeconfig.
func (c *Cluster) Kubelet(name, address, folder string) error {
	pair, err := c.authority.server(name, address)
	if err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(folder, name) }
	return errors.Join(
		os.MkdirAll(folder, 0o700),
		os.WriteFile(file("ca.crt"), c.authority.pem, 0o600),
		os.WriteFile(file("kubelet.crt"), pair.certificate, 0o600),
		os.WriteFile(file("kubelet.key"), pair.key, 0o600),
		// https://kubernetes.io/docs/reference/access-authn-authz/node/
		c.writeKubeconfig(file("kubelet.kubeconfig"), "system:node:"+name, "system:nodes"),
		c.writeKubeconfig(file("proxy.kubeconfig"), "system:kube-proxy"),
	)
}
