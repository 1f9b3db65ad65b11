package review

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/podid/podid/internal/identity"
)

// leeway is how long the API server accepts the tokens of a pod whose time to
// end is over but which is still there, on a node that is gone, say
// (kubernetes/pkg/serviceaccount/claims.go: jwt.DefaultLeeway).
const leeway = time.Minute

// Pod is what a token's pod is judged by.
type Pod struct {
	UID      string
	NodeName string    // empty: not scheduled, or not known
	EndsAt   time.Time // when it is to be gone; zero: it is not being deleted
}

// Pods finds pods. An error for which apierrors.IsNotFound holds says that
// there is none of that name.
type Pods func(ctx context.Context, namespace, name string) (Pod, error)

// Subjects verifies tokens, as issue.Verifier does.
type Subjects interface {
	Verify(ctx context.Context, cluster, raw string) (identity.Subject, error)
}

// Existing verifies tokens, and that their pods exist. Tokens and Read are required.
type Existing struct {
	Tokens Subjects
	// Known finds pods in memory, a little behind the API server. What it knows
	// with the token's uid needs no reading. Nil: every pod is read.
	Known Pods
	// Read finds pods at the API server.
	Read Pods
	// Timeout bounds a reading. 0: 2 s.
	Timeout time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Verify returns the subject that raw proves, whose pod exists with that very
// uid. A token that names no node gets that of its pod. Its errors are those of
// Tokens, InvalidToken where the pod is gone, and Unavailable.
func (e *Existing) Verify(ctx context.Context, cluster, raw string) (identity.Subject, error) {
	s, err := e.Tokens.Verify(ctx, cluster, raw)
	if err != nil {
		return identity.Subject{}, err
	}
	pod, err := e.pod(ctx, s)
	switch {
	case apierrors.IsNotFound(err):
		return identity.Subject{}, invalid("its pod does not exist any more")
	case err != nil:
		return identity.Subject{}, identity.Errorf(identity.Unavailable, "The cluster's API server cannot say at present whether the token's pod exists.").Because(err)
	case pod.UID != s.PodUID:
		return identity.Subject{}, invalid("its pod was replaced by another of that name")
	case !pod.EndsAt.IsZero() && e.now().After(pod.EndsAt.Add(leeway)):
		return identity.Subject{}, invalid("its pod's time is over")
	case s.NodeName == "":
		s.NodeName = pod.NodeName
	case pod.NodeName != "" && pod.NodeName != s.NodeName:
		return identity.Subject{}, invalid("its pod runs on another node than it says")
	}
	return s, nil
}

// pod finds the pod of s: in memory, if what is there settles everything.
func (e *Existing) pod(ctx context.Context, s identity.Subject) (Pod, error) {
	if e.Known != nil {
		pod, err := e.Known(ctx, s.Namespace, s.PodName)
		if err == nil && pod.UID == s.PodUID && (s.NodeName != "" || pod.NodeName != "") {
			return pod, nil
		}
	}
	timeout := e.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return e.Read(ctx, s.Namespace, s.PodName)
}

func (e *Existing) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}
