package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/console"
	consolekube "github.com/podid/podid/internal/console/kube"
	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/sts"
)

// Console says how the web console is served. The zero value: it is not.
type Console struct {
	// Address is where, in TLS. "": nowhere.
	Address string
	// ReadOnly has it refuse every change, whoever asks.
	ReadOnly bool
	// Replicas are HOST:PORT of the APIs of all replicas, such as that of a headless
	// Service: they are asked for what each has alone. Empty: this one alone is.
	Replicas []string
	// FirstHopAs is the ARN of podid's own IAM identity, for policies and
	// explanations. "": it is not known.
	FirstHopAs string
}

// consolePage puts the web console together.
func (s *server) consolePage() error {
	c := s.config
	if c.Console.Address == "" {
		return nil
	}
	users, err := consolekube.New(consolekube.Config{
		Cluster: c.Cluster, API: s.cluster.api, Scheme: s.cluster.scheme, Live: s.cluster.live,
		Tokens: s.cluster.client.AuthenticationV1().TokenReviews(), Access: s.cluster.client.AuthorizationV1().SubjectAccessReviews(),
		Object: s.store.Object, Namespaces: s.index.Namespaces, Pods: s.podsOf,
	})
	if err != nil {
		return err
	}
	self := newItself(s)
	config := console.Config{
		Mode: console.Kubernetes, Clusters: []identity.Cluster{c.Cluster}, Version: c.Version, ReadOnly: c.Console.ReadOnly, Index: &s.index,
		User: users.User, Surroundings: users.Around(), Rules: s.rules(), Audit: s.auditor(), Local: self, Logger: c.Logger,
		FirstHopAs: c.Console.FirstHopAs,
	}
	if config.Explain, err = s.explain(); err != nil {
		return err
	}
	config.FirstHopUnknown = config.Explain == nil
	if len(c.Console.Replicas) > 0 {
		config.Peers = &consolekube.Peers{
			Addresses: c.Console.Replicas, Self: self.name,
			Replicas: s.replicas(),
		}
	}
	s.page, err = console.New(config)
	return err
}

// explain explains with podid's own credentials, which may see little: what they
// cannot read is said. Without knowing who it is itself, it cannot.
func (s *server) explain() (func(context.Context, explain.Question) (*explain.Report, error), error) {
	c := s.config
	if c.STS.FirstHop != sts.Service && c.Console.FirstHopAs == "" {
		return nil, nil
	}
	config := explain.Config{AWS: c.STS.AWS.Copy(), Kubernetes: true, FirstHopAs: c.Console.FirstHopAs}
	if config.AWS.Region == "" {
		config.AWS.Region = c.Cluster.Region
	}
	if config.AWS.Credentials == nil {
		config.AWS.Credentials = aws.AnonymousCredentials{} // nothing can be read; what can be said without is
	}
	explainer, err := explain.New(config)
	if err != nil {
		return nil, fmt.Errorf("the console: %w", err)
	}
	return explainer.Explain, nil
}

// podsOf are the running pods of a service account, as the cache has them.
func (s *server) podsOf(ctx context.Context, namespace, serviceAccount string) ([]console.Pod, error) {
	list := &corev1.PodList{}
	if err := s.cluster.cache.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var found []console.Pod
	for i := range list.Items {
		p := &list.Items[i]
		if p.Spec.ServiceAccountName != serviceAccount || ended(p) {
			continue
		}
		found = append(found, console.Pod{
			Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Node: p.Spec.NodeName, Phase: string(p.Status.Phase),
			Ready: slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }),
		})
	}
	return found, nil
}

// itself is this replica as the console shows it.
type itself struct {
	s     *server
	name  string // of the pod, and of this start of it
	began time.Time
}

func newItself(s *server) *itself {
	host, err := os.Hostname()
	if err != nil {
		host = "podid"
	}
	return &itself{s: s, name: host + "/" + strings.ToLower(rand.Text()[:5]), began: time.Now()}
}

func (i *itself) Name() string                             { return i.name }
func (i *itself) Events(q audit.Query) (audit.Page, error) { return i.s.recent.Query(q) }
func (i *itself) Health(ctx context.Context) console.LocalHealth {
	s := i.s
	lacks := s.health.ready()
	h := console.LocalHealth{
		Replica: console.Replica{
			Name: i.name, Version: s.config.Version, Started: i.began.UTC(), Ready: lacks == "", Lacks: lacks, Agents: s.feed.Stats().Listeners,
			Associations: s.index.Len(), Sequence: s.store.Sequence(), Chains: console.ChainsOf(s.chains.Stats(), time.Since(i.began)),
			Certificates: s.certificates(),
		},
		Agents: s.agents.seen(i.name),
	}
	h.Expected, h.Nodes = s.nodes(ctx)
	return h
}

// certificates are the one that is served with, and those sent along with it.
func (s *server) certificates() []console.Certificate {
	out := []console.Certificate{}
	c, err := s.certificate.current()
	if err == nil && c != nil && c.Leaf != nil {
		out = append(out, console.Certificate{Name: "serving", NotBefore: c.Leaf.NotBefore.UTC(), NotAfter: c.Leaf.NotAfter.UTC(), Names: c.Leaf.DNSNames})
	}
	return out
}

// nodes are those that have an agent's pod, and all that have pods.
func (s *server) nodes(ctx context.Context) (expected, all []string) {
	list := &corev1.PodList{}
	if err := s.cluster.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil
	}
	agents, nodes := map[string]bool{}, map[string]bool{}
	for i := range list.Items {
		p := &list.Items[i]
		if p.Spec.NodeName == "" || ended(p) {
			continue
		}
		nodes[p.Spec.NodeName] = true
		if p.Namespace == s.config.AgentServiceAccount.Namespace && p.Spec.ServiceAccountName == s.config.AgentServiceAccount.Name {
			agents[p.Spec.NodeName] = true
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(agents))...), append([]string{}, slices.Sorted(maps.Keys(nodes))...)
}

// consoleDoor serves the console, with its own address in a browser led to it.
func (s *server) consoleDoor() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(console.Path, s.page)
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusFound))
	return mux
}
