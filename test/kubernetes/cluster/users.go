package cluster

import (
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// User returns the configuration of a user with a certificate of its own, who
// may do what RBAC says.
func (c *Cluster) User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	config, err := c.user(name, c.Config.Host, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func (c *Cluster) user(name, host string, groups ...string) (*rest.Config, error) {
	pair, err := c.authority.client(name, groups...)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: host, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.authority.pem, CertData: pair.certificate, KeyData: pair.key},
	}, nil
}

// Kubeconfig writes the kubeconfig of such a user, for kubectl and podid, and
// returns the file.
func (c *Cluster) Kubeconfig(t testing.TB, user string, groups ...string) string {
	t.Helper()
	file := t.TempDir() + "/kubeconfig"
	if err := c.writeKubeconfig(file, user, groups...); err != nil {
		t.Fatal(err)
	}
	return file
}

func (c *Cluster) writeKubeconfig(file, user string, groups ...string) error {
	config, err := c.user(user, c.Config.Host, groups...)
	if err != nil {
		return err
	}
	const name = "podid-test"
	return clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*api.AuthInfo{user: {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
		Contexts:       map[string]*api.Context{name: {Cluster: name, AuthInfo: user}},
		CurrentContext: name,
	}, file)
}
