package issue

import (
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/podid/podid/internal/identity"
)

const (
	roleARN   = "arn:aws:iam::111122223333:role/pod-identity"
	targetARN = "arn:aws:iam::444455556666:role/target"
	policy    = `{"Version":"2012-10-17","Statement":[]}`
	sessionID = "8dbbcff5-9716-40c5-a474-c01c3190deeb"
)

var (
	cluster = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}
	subject = identity.Subject{Namespace: "default", ServiceAccount: "demo-app-sa", PodName: "demo-app-0", PodUID: "p-uid", NodeName: "node-1", TokenID: "jti"}
)

func newAssociation(change func(*identity.Association)) identity.Association {
	a := identity.Association{
		ID: "a-hw7ewqqhtvfqjkx7r", Cluster: cluster, Namespace: "default", ServiceAccount: "demo-app-sa", RoleARN: roleARN,
	}
	if change != nil {
		change(&a)
	}
	return a
}

func TestChain(t *testing.T) {
	const name = "eks-example-cl-demo-app-0-" + sessionID
	tags := []identity.Tag{
		{Key: "eks-cluster-arn", Value: "arn:aws:eks:us-west-2:111122223333:cluster/example-cluster"},
		{Key: "eks-cluster-name", Value: "example-cluster"},
		{Key: "kubernetes-namespace", Value: "default"},
		{Key: "kubernetes-service-account", Value: "demo-app-sa"},
		{Key: "kubernetes-pod-name", Value: "demo-app-0"},
		{Key: "kubernetes-pod-uid", Value: "p-uid"},
	}
	keys := []string{
		"eks-cluster-arn", "eks-cluster-name", "kubernetes-namespace",
		"kubernetes-service-account", "kubernetes-pod-name", "kubernetes-pod-uid",
	}
	plain := identity.Hop{Cluster: cluster, RoleARN: roleARN, SessionName: name, Duration: 6 * time.Hour}
	shared := plain
	shared.SessionName = "eks-example-cl-demo-app-s-" + sessionID
	tagged := plain
	tagged.Tags, tagged.TransitiveTagKeys = tags, keys
	target := identity.Hop{
		Cluster: cluster, RoleARN: targetARN, SessionName: name, Duration: time.Hour,
		ExternalID: "us-west-2/111122223333/example-cluster/default/demo-app-sa",
	}
	narrowed := func(h identity.Hop) identity.Hop { h.Policy = policy; return h }

	for _, test := range []struct {
		name   string
		change func(*identity.Association)
		want   []identity.Hop
	}{
		{"one role", nil, []identity.Hop{tagged}},
		{"one role, no tags", func(a *identity.Association) { a.DisableSessionTags = true }, []identity.Hop{plain}},
		{"one role, policy", func(a *identity.Association) { a.DisableSessionTags, a.Policy = true, policy }, []identity.Hop{narrowed(plain)}},
		{"target role", func(a *identity.Association) { a.TargetRoleARN = targetARN }, []identity.Hop{tagged, target}},
		{"target role, no tags", func(a *identity.Association) { a.TargetRoleARN, a.DisableSessionTags = targetARN, true },
			[]identity.Hop{shared, target}},
		{"target role, policy", func(a *identity.Association) {
			a.TargetRoleARN, a.DisableSessionTags, a.Policy = targetARN, true, policy
		}, []identity.Hop{shared, narrowed(target)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Chain(newAssociation(test.change), subject, sessionID); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestSessionName(t *testing.T) {
	for _, test := range []struct{ cluster, pod, want string }{
		{"eksworkshop-eksctl", "app1", "eks-eksworksho-app1-" + sessionID},
		{"my-cluster", "karpenter-7d4b", "eks-my-cluster-karpenter--" + sessionID},
		{"c", "a.b", "eks-c-a.b-" + sessionID},
		{"c:/é", "p q", "eks-c----p-q-" + sessionID},
	} {
		if got := sessionName(test.cluster, test.pod, sessionID); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func FuzzSessionName(f *testing.F) {
	f.Add("example-cluster", "demo-app-0", sessionID)
	f.Add("", "\xff\xfe", "é\n")
	f.Add("ééééééééééé", "日本語", "")
	// RoleSessionName in the model of STS.
	valid := regexp.MustCompile(`^[0-9A-Za-z_+=,.@-]{2,64}$`)
	f.Fuzz(func(t *testing.T, cluster, pod, id string) {
		if got := sessionName(cluster, pod, id); !valid.MatchString(got) {
			t.Errorf("%q is no session name", got)
		}
	})
}
