package association

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/controller"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// aws refuses the chains of the target roles named, and counts.
type aws struct {
	mu      sync.Mutex
	refused map[string]bool
	tried   map[string]int // by service account
}

func (a *aws) verify(_ context.Context, of identity.Association) (hop int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tried[of.ServiceAccount]++
	if a.refused[of.TargetRoleARN] {
		return 2, fmt.Errorf("hop 2: %w", identity.Errorf(identity.AccessDenied, "AccessDenied: User: podid is not authorized to perform: sts:AssumeRole"))
	}
	return 0, nil
}

// controlled runs the controller, as podid's server, over the cache of a replica.
func controlled(t *testing.T, config_ *rest.Config, r *replica, c controller.Config) (stop func()) {
	t.Helper()
	skip := true
	m, err := manager.New(config_, manager.Options{
		Scheme: scheme(t), Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &skip},
		NewCache: func(*rest.Config, cache.Options) (cache.Cache, error) { return borrowed{r.cache}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Cluster = home
	if err := controller.Add(m, c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

type borrowed struct{ cache.Cache }

func (borrowed) Start(ctx context.Context) error { <-ctx.Done(); return nil }

func condition(o *v1alpha1.PodIdentityAssociation, kind string) *v1alpha1.Condition {
	for i, c := range o.Status.Conditions {
		if c.Type == kind && c.ObservedGeneration == o.Generation {
			return &o.Status.Conditions[i]
		}
	}
	return &v1alpha1.Condition{}
}

func awaitStatus(t *testing.T, k client.Client, o *v1alpha1.PodIdentityAssociation, what string, so func() bool) {
	t.Helper()
	within(t, 20*time.Second, what, func() error {
		if err := k.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		if !so() {
			return fmt.Errorf("the status is %+v", o.Status)
		}
		return nil
	})
}

// TestController runs with the rights that the server has, and no others.
func TestController(t *testing.T) {
	c := start(t, cluster.Newest)
	ns := c.Namespace(t, "shop")
	judged(t, c)
	k := as(t, c.Config)
	r := running(t, c.User(t, server))
	world := &aws{refused: map[string]bool{target + "-closed": true}, tried: map[string]int{}}
	stop := controlled(t, c.User(t, server), r, controller.Config{Verify: world.verify})

	t.Run("kubectl", func(t *testing.T) { triesKubectlWait(t, c, ns) })
	o := object(ns, "app")
	t.Run("ready", func(t *testing.T) {
		began := time.Now()
		create(t, k, o)
		awaitStatus(t, k, o, "Ready and ChainVerified", func() bool {
			return condition(o, "Ready").Status == metav1.ConditionTrue && condition(o, "ChainVerified").Status == metav1.ConditionTrue
		})
		t.Logf("after %v", time.Since(began))
		want := kube.Association(home, o)
		if s := o.Status; s.AssociationID != want.ID || s.AssociationARN != want.ARN() || s.ExternalID != "us-west-2/111122223333/example-cluster/shop/app" || s.ObservedGeneration != 1 {
			t.Errorf("the status is %+v", s)
		}
	})
	t.Run("the target role turns away", func(t *testing.T) {
		o.Spec.TargetRoleARN = target + "-closed"
		if err := k.Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		awaitStatus(t, k, o, "ChainVerified is False, and Ready stays True, as a pod would still get it", func() bool {
			return condition(o, "ChainVerified").Status == metav1.ConditionFalse && condition(o, "Ready").Status == metav1.ConditionTrue
		})
		if got := condition(o, "ChainVerified"); got.Message != "Hop 2, "+target+"-closed: AccessDenied: User: podid is not authorized to perform: sts:AssumeRole" {
			t.Errorf("the message is %q", got.Message)
		}
		want := []string{"Normal Served Ready", "Normal Assumed ChainVerified", "Warning Refused ChainVerified"}
		within(t, 20*time.Second, "the events", func() error { return haveEvents(t, k, o, want) })
		if reason, broken := r.Broken(kube.Association(home, o)); !broken || !strings.Contains(reason, "AccessDenied") {
			t.Errorf("the webhook warns with %q", reason)
		}
	})
	t.Run("a status that others wrote is put right", func(t *testing.T) {
		err := k.Status().Patch(t.Context(), association(ns, "app"), client.RawPatch(types.MergePatchType, []byte(`{"status":{"externalID":"forged","conditions":null}}`)))
		if err != nil {
			t.Fatal(err)
		}
		awaitStatus(t, k, o, "it is right again", func() bool {
			return o.Status.ExternalID == "us-west-2/111122223333/example-cluster/shop/app" &&
				condition(o, "Ready").Status == metav1.ConditionTrue && condition(o, "ChainVerified").Status == metav1.ConditionFalse
		})
	})
	t.Run("lastIssued", func(t *testing.T) { triesIssued(t, c.User(t, server), r, k, o) })
	t.Run("what breaks a rule is not ready", func(t *testing.T) { triesInvalid(t, c, k, ns) })
	t.Run("a new leader", func(t *testing.T) {
		stop()
		world.mu.Lock()
		before := world.tried["app"]
		world.mu.Unlock()
		controlled(t, c.User(t, server), r, controller.Config{}) // verification is off now
		awaitStatus(t, k, o, "nothing is said of chains", func() bool {
			return meta.FindStatusCondition(conditions(o), "ChainVerified") == nil && condition(o, "Ready").Status == metav1.ConditionTrue
		})
		world.mu.Lock()
		defer world.mu.Unlock()
		if world.tried["app"] != before {
			t.Error("the chain was tried")
		}
	})
}

func conditions(o *v1alpha1.PodIdentityAssociation) (all []metav1.Condition) {
	for _, c := range o.Status.Conditions {
		all = append(all, metav1.Condition(c))
	}
	return all
}

func haveEvents(t *testing.T, k client.Client, o *v1alpha1.PodIdentityAssociation, want []string) error {
	list := &eventsv1.EventList{}
	if err := k.List(t.Context(), list, client.InNamespace(o.Namespace)); err != nil {
		return err
	}
	told := map[string]bool{}
	for _, e := range list.Items {
		if e.Regarding.UID == o.UID {
			told[e.Type+" "+e.Reason+" "+e.Action] = true
		}
	}
	for _, w := range want {
		if !told[w] {
			return fmt.Errorf("no event %q among %v", w, told)
		}
	}
	return nil
}

// triesKubectlWait: kubectl wait waits for what is asked, and kubectl get shows it.
func triesKubectlWait(t *testing.T, c *cluster.Cluster, ns string) {
	kubectl, err := cluster.Build(cluster.Newest, cluster.Kubectl)
	if err != nil {
		t.Fatal(err)
	}
	config := c.Kubeconfig(t, "admin", "system:masters")
	run := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), kubectl, append([]string{"--kubeconfig", config, "-n", ns}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run(`
apiVersion: podid.dev/v1alpha1
kind: PodIdentityAssociation
metadata: {name: kubectl}
spec: {roleARN: "`+role+`", targetRoleARN: "`+target+`"}
`, "apply", "-f", "-")
	run("", "wait", "--for=condition=Ready", "--timeout=20s", "pia/kubectl")
	run("", "wait", "--for=condition=ChainVerified", "--timeout=20s", "pia/kubectl")
	if got := run("", "get", "pia"); !strings.Contains(got, "us-west-2/111122223333/example-cluster/shop/kubectl") || !strings.Contains(got, "True") {
		t.Errorf("kubectl get shows\n%s", got)
	}
	if got := run("", "explain", "pia.spec.targetRoleARN"); !strings.Contains(got, "external ID") {
		t.Errorf("kubectl explain shows\n%s", got)
	}
}

// triesIssued: what was issued is seen by all, though it is one write.
func triesIssued(t *testing.T, config_ *rest.Config, r *replica, k client.Client, o *v1alpha1.PodIdentityAssociation) {
	issued, err := controller.NewIssued(controller.IssuedConfig{Client: as(t, config_), Object: r.Object})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- issued.Run(ctx) }()
	for range 100 {
		issued.Note(kube.Association(home, o))
	}
	issued.Note(identity.Association{Namespace: o.Namespace, ServiceAccount: "nobody"})
	awaitStatus(t, k, o, "lastIssued", func() bool { return o.Status.LastIssued != nil && time.Since(o.Status.LastIssued.Time) < time.Minute })
	if condition(o, "Ready").Status != metav1.ConditionTrue {
		t.Errorf("the rest of the status went: %+v", o.Status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// triesInvalid: what came in while nobody judged.
func triesInvalid(t *testing.T, c *cluster.Cluster, k client.Client, ns string) {
	hooks := c.Client(t).AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if err := hooks.Delete(t.Context(), "podid", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	o := object(ns, "elsewhere", func(s *v1alpha1.PodIdentityAssociationSpec) { s.RoleARN = target })
	within(t, 20*time.Second, "nobody judges", func() error { return k.Create(t.Context(), o.DeepCopy()) })
	awaitStatus(t, k, o, "Ready is False", func() bool {
		ready := condition(o, "Ready")
		return ready.Status == metav1.ConditionFalse && strings.Contains(ready.Message, "Cross-account") && condition(o, "ChainVerified").Status == metav1.ConditionUnknown
	})
	if err := k.Delete(t.Context(), o); err != nil {
		t.Error(err)
	}
}
