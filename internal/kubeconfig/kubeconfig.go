// Package kubeconfig is a cluster as its users reach it: through their
// kubeconfig, and with their own rights. Nothing in it is done with podid's.
package kubeconfig

import (
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // as kubectl has
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/identity"
)

// DefaultNamespace is that of podid's server where nothing else is said.
const DefaultNamespace = "podid-system"

// Config says which cluster, in kubectl's words. The zero value is the one that
// kubectl talks to.
type Config struct {
	// File is the kubeconfig. Empty: those of $KUBECONFIG, or ~/.kube/config.
	File string
	// Context is the name of one of its contexts. Empty: the current one.
	Context string
	// PodidNamespace is that of podid's server. Empty: DefaultNamespace.
	PodidNamespace string
	// AuthorityFile has the certificates, in PEM, that vouch for podid's server.
	// Empty: what the cluster says.
	AuthorityFile string
	// AWS overrides, field by field, what the cluster says that it is in AWS.
	AWS identity.Cluster
	// Warnings takes what the API server warns of, such as admission webhooks do.
	// Nil: nowhere.
	Warnings io.Writer
}

// Cluster is a cluster, and the user of a kubeconfig in it.
type Cluster struct {
	// Context is the name of the context. It is empty in a pod without a kubeconfig.
	Context string
	// Namespace is that of the context, for what names none.
	Namespace string

	config Config
	rest   *rest.Config
	client kubernetes.Interface
	live   client.Client
	stated *Info // once it was read
}

// Open reads the kubeconfig. It asks the cluster nothing.
func Open(c Config) (*Cluster, error) {
	if c.PodidNamespace == "" {
		c.PodidNamespace = DefaultNamespace
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.File
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig: %w", err)
	}
	if c.Context == "" {
		c.Context = raw.CurrentContext
	}
	api, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("no cluster: there is no kubeconfig (set KUBECONFIG, or give --kubeconfig)")
	}
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig: %w", err)
	}
	api.UserAgent = rest.DefaultKubernetesUserAgent()
	api.WarningHandler = rest.NoWarnings{}
	if c.Warnings != nil {
		api.WarningHandler = rest.NewWarningWriter(c.Warnings, rest.WarningWriterOptions{Deduplicate: true})
	}
	k := &Cluster{Context: c.Context, Namespace: namespace, config: c, rest: api}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	if k.client, err = kubernetes.NewForConfig(api); err != nil {
		return nil, err
	}
	k.live, err = client.New(api, client.Options{Scheme: scheme})
	return k, err
}
