package controller

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// notices keeps Events as "KIND NAME REASON: NOTE".
type notices struct{ told []string }

func (n *notices) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	text := fmt.Sprintf(note, args...)
	switch o := regarding.(type) {
	case *corev1.ObjectReference:
		n.told = append(n.told, fmt.Sprintf("%s %s %s: %s", o.Kind, o.Name, reason, text))
	case *v1alpha1.PodIdentityAssociation:
		n.told = append(n.told, fmt.Sprintf("Association %s %s: %s", o.Name, reason, text))
	}
	if kind != corev1.EventTypeWarning || len(text) > 1024 {
		n.told = append(n.told, "not an Event: "+kind)
	}
}

func newRefused(t *testing.T, n *notices) *Refused {
	t.Helper()
	f, err := NewRefused(RefusedConfig{Events: n, Object: func(namespace, serviceAccount string) *v1alpha1.PodIdentityAssociation {
		if namespace+"/"+serviceAccount != "shop/app" {
			return nil
		}
		return &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: serviceAccount, UID: "association"}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func refusal(pod string, kind identity.Kind, hops ...audit.Hop) *audit.Event {
	e := audit.New(time.Now(), audit.SourceEKSAuth, audit.AssumeRoleForPodIdentity)
	e.Outcome, e.ErrorCode, e.ErrorMessage, e.ClusterName, e.RequestID = audit.Refused, kind.String(), "As AWS says it.", "example-cluster", "r-1"
	e.Subject = &audit.Subject{Namespace: "shop", ServiceAccount: "app", PodName: pod, PodUID: pod + "-uid", NodeName: "node-1"}
	e.CallerNodeName, e.Hops = "node-2", hops
	return e
}

func TestRefusalsAreToldInWords(t *testing.T) {
	first := audit.Hop{RoleARN: "arn:aws:iam::111122223333:role/pod", Outcome: audit.Refused, Error: "AccessDenied: User podid is not authorized"}
	second := audit.Hop{RoleARN: "arn:aws:iam::444455556666:role/target", ExternalID: "x-1", Outcome: audit.Refused, Error: strings.Repeat("long ", 500)}
	for name, c := range map[string]struct {
		event *audit.Event
		want  []string // in the pod's Event
		both  bool     // the association is told too
	}{
		"first hop": {refusal("web-0", identity.AccessDenied, first), []string{
			"RoleRefused: No AWS credentials: AWS refused podid the Pod Identity role " + first.RoleARN, "kubectl podid explain -n shop -s app", "not authorized"}, true},
		"second hop": {refusal("web-0", identity.AccessDenied, first, second), []string{
			"target role " + second.RoleARN, "the external ID x-1", "Pod Identity role " + first.RoleARN}, true},
		"throttled": {refusal("web-0", identity.Throttled, first), []string{"CredentialsDelayed", "asks again by itself", "request r-1"}, true},
		"no association": {refusal("web-0", identity.NotFound), []string{
			"NoPodIdentityAssociation", "service account shop/app has no pod identity association in cluster example-cluster", "kubectl podid association create -n shop -s app"}, false},
		"another node": {refusal("web-0", identity.AccessDenied), []string{"TokenRefused", "node node-2", "node node-1"}, false},
		"old token":    {refusal("web-0", identity.ExpiredToken), []string{"TokenRefused", "Delete the pod"}, false},
		"podid's own":  {refusal("web-0", identity.Internal), []string{"CredentialsDelayed", "request r-1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := &notices{}
			if err := newRefused(t, n).Write(t.Context(), c.event); err != nil {
				t.Error(err)
			}
			want := 1
			if c.both {
				want = 2
			}
			if len(n.told) != want || !strings.HasPrefix(n.told[0], "Pod web-0 ") || c.both && !strings.HasPrefix(n.told[1], "Association app ") {
				t.Fatalf("told %q", n.told)
			}
			for _, text := range c.want {
				if !strings.Contains(n.told[0], text) {
					t.Errorf("%q does not say %q", n.told[0], text)
				}
			}
		})
	}
}

func TestWhatIsNoRefusalOfAPod(t *testing.T) {
	n := &notices{}
	f := newRefused(t, n)
	granted, change, unknown := refusal("a", identity.Internal), refusal("b", identity.Internal), refusal("c", identity.InvalidToken)
	granted.Outcome, change.EventName, unknown.Subject = audit.Granted, audit.PassRole, nil
	for _, e := range []*audit.Event{granted, change, unknown} {
		f.Write(t.Context(), e)
	}
	if len(n.told) != 0 {
		t.Errorf("told %q", n.told)
	}
}

func TestRefusalsAreToldSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notices{}
		f := newRefused(t, n)
		hop := audit.Hop{RoleARN: "r", Outcome: audit.Refused}
		for range 1000 { // one pod that asks again and again
			f.Write(t.Context(), refusal("web-0", identity.AccessDenied, hop))
		}
		if len(n.told) != 2 {
			t.Errorf("one pod and its association: %d Events", len(n.told))
		}
		f.Write(t.Context(), refusal("web-0", identity.NotFound)) // other news
		if len(n.told) != 3 {
			t.Errorf("%d Events after other news", len(n.told))
		}
		time.Sleep(5 * time.Minute)
		f.Write(t.Context(), refusal("web-0", identity.AccessDenied, hop))
		if len(n.told) != 5 {
			t.Errorf("%d Events, five minutes later", len(n.told))
		}
		for i := range 2 * maxTold { // a storm
			f.Write(t.Context(), refusal(fmt.Sprint("pod-", i), identity.NotFound))
		}
		if len(n.told) > 5+50 || len(f.told) > maxTold {
			t.Errorf("%d Events in a storm, and %d are remembered", len(n.told), len(f.told))
		}
	})
}
