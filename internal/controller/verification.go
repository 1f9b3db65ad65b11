package controller

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/identity"
)

const (
	// verifyTimeout bounds one verification: two calls of STS, tried again.
	verifyTimeout = 30 * time.Second
	// firstRetry is how soon a chain is tried again that did not work: a role's
	// new trust policy takes some seconds to count. The time doubles up to lastRetry.
	firstRetry = 30 * time.Second
	lastRetry  = 15 * time.Minute
)

// verification assumes the roles of associations: at each change, and now and then.
type verification struct {
	cached  client.Reader
	status  writer
	config  Config
	limiter *rate.Limiter

	mu    sync.Mutex
	plans map[types.NamespacedName]plan
}

// plan is when an association is to be verified.
type plan struct {
	uid        types.UID
	generation int64
	at         time.Time
	turn       bool             // it has been given its turn by the limiter, at that time
	failures   int              // one after the other
	found      metav1.Condition // the last time; without a status before that
}

func newVerification(cached client.Reader, w writer, c Config) *verification {
	return &verification{
		cached: cached, status: w, config: c,
		limiter: rate.NewLimiter(c.VerifyRate, verifyBurst), plans: map[types.NamespacedName]plan{},
	}
}

// Reconcile verifies one association if it is time, and says when to come again.
func (v *verification) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	o := &v1alpha1.PodIdentityAssociation{}
	err := v.cached.Get(ctx, request.NamespacedName, o)
	if err != nil || !o.DeletionTimestamp.IsZero() {
		v.keep(request.NamespacedName, plan{})
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	a := kube.Association(v.config.Cluster, o)
	if v.config.Rules.Validate(a) != nil {
		return reconcile.Result{}, v.note(ctx, o, metav1.Condition{
			Status: metav1.ConditionUnknown, Reason: "Invalid", Message: "The association breaks a rule, and its roles are not assumed.",
		})
	}
	now := time.Now()
	p := v.plan(request.NamespacedName, o, now)
	if !p.at.After(now) && !p.turn {
		p.at, p.turn = now.Add(v.limiter.Reserve().Delay()), true
	}
	if !p.at.After(now) {
		condition, known := v.verify(ctx, a)
		p.turn = false
		p.at, p.failures = v.next(condition.Status, p.failures)
		if known {
			p.found = condition
		}
	}
	v.keep(request.NamespacedName, p)
	// Also when it was not yet time: somebody else may have written the status.
	if p.found.Status != "" {
		err = v.note(ctx, o, p.found)
	}
	return reconcile.Result{RequeueAfter: time.Until(p.at)}, err
}

// plan returns what was planned, or begins anew with an object that changed. What
// another replica verified, before this one led, waits for its time: else each
// new leader would verify all.
func (v *verification) plan(key types.NamespacedName, o *v1alpha1.PodIdentityAssociation, now time.Time) plan {
	v.mu.Lock()
	p, found := v.plans[key]
	v.mu.Unlock()
	if found && p.uid == o.UID && p.generation == o.Generation {
		return p
	}
	again := plan{uid: o.UID, generation: o.Generation, at: now}
	verified := find(o.Status, v1alpha1.ConditionChainVerified)
	if !found && verified != nil && verified.ObservedGeneration == o.Generation {
		switch verified.Status {
		case metav1.ConditionTrue:
			again.at = now.Add(rand.N(v.config.VerifyEvery))
		case metav1.ConditionFalse:
			again.at = now.Add(rand.N(min(lastRetry, v.config.VerifyEvery)))
		}
	}
	return again
}

// keep notes a plan; an empty one is forgotten.
func (v *verification) keep(key types.NamespacedName, p plan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p == (plan{}) {
		delete(v.plans, key)
		return
	}
	v.plans[key] = p
}

// next is when to verify again, after how many failures.
func (v *verification) next(outcome metav1.ConditionStatus, failures int) (time.Time, int) {
	if outcome == metav1.ConditionTrue {
		// A tenth of it by chance, so that what was made together does not stay together.
		return time.Now().Add(v.config.VerifyEvery - rand.N(v.config.VerifyEvery/10+1)), 0
	}
	wait := min(firstRetry<<min(failures, 10), lastRetry, max(v.config.VerifyEvery, firstRetry))
	return time.Now().Add(wait - rand.N(wait/10+1)), failures + 1
}

// verify assumes the roles. It is not known whether that works if AWS did not
// say; then what was known before stands.
func (v *verification) verify(ctx context.Context, a identity.Association) (c metav1.Condition, known bool) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	hop, err := v.config.Verify(ctx, a)
	if err == nil {
		message := "podid assumed " + a.RoleARN
		if a.TargetRoleARN != "" {
			message += " and then " + a.TargetRoleARN
		}
		return metav1.Condition{Status: metav1.ConditionTrue, Reason: "Assumed", Message: message + "."}, true
	}
	switch identity.KindOf(err) {
	case identity.AccessDenied, identity.InvalidParameter, identity.InvalidRequest, identity.NotFound:
	default:
		return metav1.Condition{Status: metav1.ConditionUnknown}, false
	}
	role := a.RoleARN
	if hop > 1 {
		role = a.TargetRoleARN
	}
	return metav1.Condition{Status: metav1.ConditionFalse, Reason: "Refused", Message: fmt.Sprintf("Hop %d, %s: %s", hop, role, identity.SafeMessage(err))}, true
}

// note writes the condition, unless the status has it.
func (v *verification) note(ctx context.Context, o *v1alpha1.PodIdentityAssociation, c metav1.Condition) error {
	c.Type, c.ObservedGeneration = v1alpha1.ConditionChainVerified, o.Generation
	if has := find(o.Status, c.Type); has != nil && has.Status == c.Status && has.Reason == c.Reason &&
		has.Message == c.Message && has.ObservedGeneration == c.ObservedGeneration {
		return nil
	}
	return v.status.write(ctx, o, c.Type, func(s *v1alpha1.PodIdentityAssociationStatus) { set(s, c) })
}
