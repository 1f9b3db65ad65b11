package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/identity"
)

// The controller as a whole is tested against a real API server, in
// test/kubernetes; here is when it does what.

const (
	role   = "arn:aws:iam::111122223333:role/app"
	target = "arn:aws:iam::444455556666:role/target"
)

var home = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}

// events keeps what was told.
type events struct{ told []string }

func (e *events) Eventf(_, _ runtime.Object, kind, reason, action, note string, args ...any) {
	e.told = append(e.told, kind+" "+reason+" "+action+": "+fmt.Sprintf(note, args...))
}

// world is a verification over objects in memory.
type world struct {
	*verification
	t       *testing.T
	client  client.Client
	events  *events
	tried   []string // service accounts, in order
	refuse  error
	refused int // the hop
}

func newWorld(t *testing.T, c Config, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, events: &events{}}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.PodIdentityAssociation{}).WithObjects(objects...).Build()
	c.Cluster = home
	c.Verify = func(_ context.Context, a identity.Association) (int, error) {
		w.tried = append(w.tried, a.ServiceAccount)
		return w.refused, w.refuse
	}
	if c.VerifyEvery == 0 {
		c.VerifyEvery = defaultVerifyEvery
	}
	if c.VerifyRate == 0 {
		c.VerifyRate = defaultVerifyRate
	}
	w.verification = newVerification(w.client, writer{live: w.client, client: w.client, events: w.events}, c)
	return w
}

func (w *world) reconcile(name string) time.Duration {
	w.t.Helper()
	got, err := w.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.RequeueAfter
}

func (w *world) object(name string) *v1alpha1.PodIdentityAssociation {
	w.t.Helper()
	o := &v1alpha1.PodIdentityAssociation{}
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, o); err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) condition(name string) metav1.Condition {
	w.t.Helper()
	if c := find(w.object(name).Status, v1alpha1.ConditionChainVerified); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func bound(name string, generation int64, status metav1.ConditionStatus, of int64) *v1alpha1.PodIdentityAssociation {
	o := &v1alpha1.PodIdentityAssociation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), Generation: generation},
		Spec:       v1alpha1.PodIdentityAssociationSpec{RoleARN: role, TargetRoleARN: target},
	}
	if status != "" {
		set(&o.Status, metav1.Condition{Type: v1alpha1.ConditionChainVerified, Status: status, Reason: "Before", ObservedGeneration: of})
	}
	return o
}

func TestVerifiedAtOnceAndNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{}, bound("app", 1, "", 0))
		again := w.reconcile("app")
		if c := w.condition("app"); c.Status != metav1.ConditionTrue || c.Reason != "Assumed" || !strings.Contains(c.Message, role+" and then "+target) || c.ObservedGeneration != 1 {
			t.Errorf("got %+v", c)
		}
		if again < 54*time.Minute || again > time.Hour {
			t.Errorf("again after %v", again)
		}
		// Its own writes, and those of others to the status, are no reason to try again.
		time.Sleep(time.Minute)
		if left := w.reconcile("app"); len(w.tried) != 1 || left != again-time.Minute {
			t.Errorf("tried %d times, again after %v", len(w.tried), left)
		}
		// What others write into it is put right, without another try.
		o := w.object("app")
		o.Status.Conditions = nil
		if err := w.client.Status().Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		w.reconcile("app")
		if c := w.condition("app"); c.Status != metav1.ConditionTrue || len(w.tried) != 1 {
			t.Errorf("%+v after %d tries", c, len(w.tried))
		}
		time.Sleep(again)
		w.reconcile("app")
		if len(w.tried) != 2 {
			t.Errorf("tried %d times, want once more", len(w.tried))
		}
		if len(w.events.told) != 2 || !strings.HasPrefix(w.events.told[0], corev1.EventTypeNormal+" Assumed ChainVerified: ") {
			t.Errorf("told %q", w.events.told)
		}
	})
}

func TestARefusedChainIsTriedAgainMoreAndMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{}, bound("app", 1, "", 0))
		w.refuse, w.refused = identity.Errorf(identity.AccessDenied, "AccessDenied: User is not authorized").Because(fmt.Errorf("secret detail")), 2
		var waits []time.Duration
		for range 8 {
			wait := w.reconcile("app")
			waits = append(waits, wait)
			time.Sleep(wait)
		}
		for i, wait := range waits {
			longest := min(firstRetry<<i, lastRetry)
			if wait > longest || wait < longest*9/10 {
				t.Errorf("waited %v", waits)
			}
		}
		c := w.condition("app")
		if c.Status != metav1.ConditionFalse || c.Message != "Hop 2, "+target+": AccessDenied: User is not authorized" {
			t.Errorf("got %+v", c)
		}
		w.refuse = nil
		w.reconcile("app")
		if c := w.condition("app"); c.Status != metav1.ConditionTrue {
			t.Errorf("mended: %+v", c)
		}
		if len(w.events.told) != 2 || !strings.HasPrefix(w.events.told[0], "Warning Refused") || !strings.HasPrefix(w.events.told[1], "Normal Assumed") {
			t.Errorf("told %q", w.events.told)
		}
	})
}

// TestNoAnswerChangesNothing: that STS is away says nothing about a chain.
func TestNoAnswerChangesNothing(t *testing.T) {
	for _, kind := range []identity.Kind{identity.Unavailable, identity.Throttled, identity.Internal} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{}, bound("app", 2, metav1.ConditionTrue, 1))
			w.refuse = identity.Errorf(kind, "no")
			if again := w.reconcile("app"); again > firstRetry {
				t.Errorf("again after %v", again)
			}
			if c := w.condition("app"); c.Reason != "Before" || len(w.tried) != 1 {
				t.Errorf("%s: %+v", kind, c)
			}
		})
	}
}

// TestANewLeaderVerifiesWhatItHasTo: not all that another verified, at once.
func TestANewLeaderVerifiesWhatItHasTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{},
			bound("works", 1, metav1.ConditionTrue, 1), bound("refused", 1, metav1.ConditionFalse, 1),
			bound("changed", 2, metav1.ConditionTrue, 1), bound("unknown", 1, metav1.ConditionUnknown, 1))
		if again := w.reconcile("works"); again <= 0 || again > time.Hour {
			t.Errorf("what works: again after %v", again)
		}
		if again := w.reconcile("refused"); again <= 0 || again > lastRetry {
			t.Errorf("what was refused: again after %v", again)
		}
		w.reconcile("changed")
		w.reconcile("unknown")
		if fmt.Sprint(w.tried) != "[changed unknown]" {
			t.Errorf("tried %v", w.tried)
		}
		// A change is verified at once, however long the next turn would be.
		o := w.object("works")
		o.Generation = 2
		o.Spec.TargetRoleARN += "2"
		if err := w.client.Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		w.reconcile("works")
		if fmt.Sprint(w.tried) != "[changed unknown works]" {
			t.Errorf("tried %v", w.tried)
		}
	})
}

func TestVerificationsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var objects []client.Object
		for i := range 20 {
			objects = append(objects, bound(fmt.Sprint("app", i), 1, "", 0))
		}
		w := newWorld(t, Config{VerifyRate: 1}, objects...)
		waits := map[string]time.Duration{}
		for i := range 20 {
			waits[fmt.Sprint("app", i)] = w.reconcile(fmt.Sprint("app", i))
		}
		if len(w.tried) != verifyBurst {
			t.Errorf("%d at once, want %d", len(w.tried), verifyBurst)
		}
		began := time.Now()
		for i := verifyBurst; i < 20; i++ {
			name := fmt.Sprint("app", i)
			time.Sleep(waits[name] - time.Since(began))
			w.reconcile(name)
		}
		if took := time.Since(began); len(w.tried) != 20 || took < 14*time.Second || took > 16*time.Second {
			t.Errorf("%d were tried within %v", len(w.tried), took)
		}
	})
}

// TestWhatIsNotVerified: what breaks a rule, and what is gone.
func TestWhatIsNotVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		elsewhere := bound("elsewhere", 1, "", 0)
		elsewhere.Spec.RoleARN = target
		now := metav1.Now()
		deleted := bound("deleted", 1, "", 0)
		deleted.DeletionTimestamp, deleted.Finalizers = &now, []string{"example.test/wait"}
		w := newWorld(t, Config{}, elsewhere, deleted)
		for _, name := range []string{"elsewhere", "deleted", "none"} {
			if again := w.reconcile(name); again != 0 {
				t.Errorf("%s: again after %v", name, again)
			}
		}
		if c := w.condition("elsewhere"); len(w.tried) > 0 || c.Status != metav1.ConditionUnknown || c.Reason != "Invalid" {
			t.Errorf("tried %v; %+v", w.tried, c)
		}
		if len(w.plans) != 0 {
			t.Errorf("plans are kept: %v", w.plans)
		}
	})
}
