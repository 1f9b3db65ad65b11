package issue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// cloud is everything around the path, in memory. Its zero value knows nobody.
type cloud struct {
	subjects     map[string]identity.Subject // by token
	associations map[string]identity.Association
	refusals     map[string]error // by role ARN

	assumed []string // session token used, and role; in order
	audited []audit.Event
	full    error // of the audit sink
}

func (c *cloud) Verify(_ context.Context, cluster, raw string) (identity.Subject, error) {
	s, ok := c.subjects[cluster+" "+raw]
	if !ok {
		return identity.Subject{}, identity.Errorf(identity.InvalidToken, "no such token")
	}
	return s, nil
}

func (c *cloud) Lookup(_ context.Context, cluster, namespace, serviceAccount string) (identity.Association, error) {
	a, ok := c.associations[cluster+"/"+namespace+"/"+serviceAccount]
	if !ok {
		return identity.Association{}, identity.Errorf(identity.NotFound, "no such association")
	}
	return a, nil
}

func (c *cloud) AssumeRole(_ context.Context, with *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	who := "podid"
	if with != nil {
		who = with.SessionToken.Reveal()
	}
	c.assumed = append(c.assumed, who+" -> "+hop.RoleARN)
	if err := c.refusals[hop.RoleARN]; err != nil {
		return identity.Session{}, err
	}
	return identity.Session{
		Credentials: identity.Credentials{
			AccessKeyID: fmt.Sprintf("ASIA%d", len(c.assumed)), SecretAccessKey: identity.Secret("secret of " + hop.RoleARN),
			SessionToken: identity.Secret("session of " + hop.RoleARN), Expires: now.Add(hop.Duration),
		},
		AssumedRoleARN: "session in " + hop.RoleARN,
	}, nil
}

func (c *cloud) Write(ctx context.Context, e *audit.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.audited = append(c.audited, *e)
	return c.full
}

// newCloud knows one pod, with one association, which has a target role.
func newCloud(change func(*identity.Association)) *cloud {
	a := newAssociation(func(a *identity.Association) { a.TargetRoleARN = targetARN })
	if change != nil {
		change(&a)
	}
	return &cloud{
		subjects:     map[string]identity.Subject{"example-cluster good-token": subject},
		associations: map[string]identity.Association{"example-cluster/default/demo-app-sa": a},
		refusals:     map[string]error{},
	}
}

func newIssuer(t *testing.T, c *cloud) *Issuer {
	t.Helper()
	i, err := New(Config{
		Verifier: c, Associations: c, Roles: c, Audit: c,
		Now: func() time.Time { return now }, NewSessionID: func() string { return sessionID },
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var request = Request{
	Cluster: "example-cluster", Token: "good-token", CallerARN: "arn:aws:sts::111122223333:assumed-role/node/i-1",
	SourceIP: "10.0.0.1", RequestID: "r-1",
}

func TestIssueThroughTwoHops(t *testing.T) {
	c := newCloud(nil)
	grant, err := newIssuer(t, c).Issue(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if grant.Session.AssumedRoleARN != "session in "+targetARN || grant.Session.Credentials.AccessKeyID != "ASIA2" {
		t.Errorf("the pod gets %+v", grant.Session)
	}
	if grant.Subject != subject || grant.Association.ID != "a-hw7ewqqhtvfqjkx7r" {
		t.Errorf("grant for %+v by %s", grant.Subject, grant.Association.ID)
	}
	wantHops := []string{"podid -> " + roleARN, "session of " + roleARN + " -> " + targetARN}
	if !reflect.DeepEqual(c.assumed, wantHops) {
		t.Errorf("assumed %v, want %v", c.assumed, wantHops)
	}
}

func TestIssueThroughOneHop(t *testing.T) {
	c := newCloud(func(a *identity.Association) { a.TargetRoleARN = "" })
	grant, err := newIssuer(t, c).Issue(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.assumed) != 1 || grant.Session.AssumedRoleARN != "session in "+roleARN {
		t.Errorf("assumed %v, the pod gets %+v", c.assumed, grant.Session)
	}
}

func TestIssueAuditsEverythingButSecrets(t *testing.T) {
	c := newCloud(nil)
	if _, err := newIssuer(t, c).Issue(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if len(c.audited) != 1 {
		t.Fatalf("%d audit events", len(c.audited))
	}
	if c.audited[0].EventID == "" {
		t.Error("the event has no id")
	}
	c.audited[0].EventID = "id"
	got, err := json.Marshal(c.audited[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"eventVersion":"1.1","eventID":"id","eventTime":"2026-11-01T12:00:00Z","eventSource":"eks-auth.amazonaws.com","eventName":"AssumeRoleForPodIdentity","requestID":"r-1",` +
		`"sourceIPAddress":"10.0.0.1","callerArn":"arn:aws:sts::111122223333:assumed-role/node/i-1","outcome":"granted","clusterName":"example-cluster",` +
		`"subject":{"namespace":"default","serviceAccount":"demo-app-sa","podName":"demo-app-0","podUid":"p-uid","nodeName":"node-1","tokenId":"jti"},` +
		`"association":{"associationId":"a-hw7ewqqhtvfqjkx7r","associationArn":"arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-hw7ewqqhtvfqjkx7r"},` +
		`"hops":[{"roleArn":"` + roleARN + `","roleSessionName":"eks-example-cl-demo-app-0-` + sessionID + `","sessionTags":true,` +
		`"outcome":"granted","accessKeyId":"ASIA1","assumedRoleArn":"session in ` + roleARN + `","expiration":"2026-11-01T18:00:00Z"},` +
		`{"roleArn":"` + targetARN + `","roleSessionName":"eks-example-cl-demo-app-0-` + sessionID + `","sessionTags":false,` +
		`"externalId":"us-west-2/111122223333/example-cluster/default/demo-app-sa",` +
		`"outcome":"granted","accessKeyId":"ASIA2","assumedRoleArn":"session in ` + targetARN + `","expiration":"2026-11-01T13:00:00Z"}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestIssueRefuses(t *testing.T) {
	denied := identity.Errorf(identity.AccessDenied, "AccessDenied: User: arn:x is not authorized to perform: sts:TagSession")
	const awsText = "Unauthorized Exception! EKS does not have permissions to assume the associated role."
	for _, test := range []struct {
		name    string
		arrange func(*cloud, *Request)
		kind    identity.Kind
		message string
		hops    int    // tried
		hopSays string // in the audit event
	}{
		{"token not valid", func(_ *cloud, r *Request) { r.Token = "garbage" }, identity.InvalidToken, "no such token", 0, ""},
		{"token of another cluster", func(_ *cloud, r *Request) { r.Cluster = "other" }, identity.InvalidToken, "no such token", 0, ""},
		{"no association", func(c *cloud, _ *Request) { clear(c.associations) }, identity.NotFound, "no such association", 0, ""},
		{"pod on another node", func(_ *cloud, r *Request) { r.NodeName = "node-2" },
			identity.AccessDenied, "The token included in the request is of a pod on another node.", 0, ""},
		{"token bound to no node", func(c *cloud, r *Request) {
			nodeless := subject
			nodeless.NodeName = ""
			c.subjects["example-cluster good-token"] = nodeless
			r.NodeName = "node-1"
		}, identity.AccessDenied, "The token included in the request is of a pod on another node.", 0, ""},
		{"hop 1 denied", func(c *cloud, _ *Request) { c.refusals[roleARN] = denied }, identity.AccessDenied, awsText, 1, denied.Message},
		{"hop 2 denied", func(c *cloud, _ *Request) { c.refusals[targetARN] = denied }, identity.AccessDenied, awsText, 2, denied.Message},
		{"hop 1 throttled", func(c *cloud, _ *Request) {
			c.refusals[roleARN] = identity.Errorf(identity.Throttled, "Rate exceeded")
		}, identity.Throttled, "Rate exceeded", 1, "Rate exceeded"},
		{"AWS away", func(c *cloud, _ *Request) {
			c.refusals[targetARN] = identity.Errorf(identity.Unavailable, "AWS STS does not answer.").Because(errors.New("dial tcp"))
		}, identity.Unavailable, "AWS STS does not answer.", 2, "dial tcp"},
		{"the unforeseen", func(c *cloud, _ *Request) { c.refusals[roleARN] = errors.New("boom") },
			identity.Internal, "An internal error occurred.", 1, "boom"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, r := newCloud(nil), request
			test.arrange(c, &r)
			grant, err := newIssuer(t, c).Issue(t.Context(), r)
			if grant != nil || identity.KindOf(err) != test.kind || identity.SafeMessage(err) != test.message {
				t.Fatalf("got %+v, %v: %s", grant, identity.KindOf(err), identity.SafeMessage(err))
			}
			if len(c.assumed) != test.hops {
				t.Errorf("assumed %v", c.assumed)
			}
			if len(c.audited) != 1 {
				t.Fatalf("%d audit events", len(c.audited))
			}
			e := c.audited[0]
			if e.CallerNodeName != r.NodeName {
				t.Errorf("audited a caller of node %q, want %q", e.CallerNodeName, r.NodeName)
			}
			if e.Outcome != audit.Refused || e.ErrorCode != test.kind.String() || e.ErrorMessage != test.message || len(e.Hops) != test.hops {
				t.Errorf("audited %+v", e)
			}
			if test.hops > 0 {
				last := e.Hops[test.hops-1]
				if last.Outcome != audit.Refused || !strings.Contains(last.Error, test.hopSays) || last.AccessKeyID != "" || last.Expires != nil {
					t.Errorf("audited hop %+v", last)
				}
				if !strings.Contains(err.Error(), last.RoleARN) {
					t.Errorf("the error does not tell its reader the role: %v", err)
				}
			}
		})
	}
}

func TestIssueGivesNothingThatIsNotAudited(t *testing.T) {
	for name, token := range map[string]identity.Secret{"granted": "good-token", "refused": "garbage"} {
		c, r := newCloud(nil), request
		c.full, r.Token = errors.New("disk full"), token
		grant, err := newIssuer(t, c).Issue(t.Context(), r)
		if grant != nil || identity.KindOf(err) != identity.Unavailable || !errors.Is(err, c.full) {
			t.Errorf("%s: got %+v, %v", name, grant, err)
		}
	}
}

// TestIssueAuditsCallersWhoHangUp: the roles may have been assumed by then.
func TestIssueAuditsCallersWhoHangUp(t *testing.T) {
	c := newCloud(nil)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	if _, err := newIssuer(t, c).Issue(ctx, request); err != nil {
		t.Error(err)
	}
	if len(c.audited) != 1 {
		t.Errorf("%d audit events", len(c.audited))
	}
}

func TestNewNeedsEverything(t *testing.T) {
	c := &cloud{}
	for name, config := range map[string]Config{
		"verifier":     {Associations: c, Roles: c, Audit: c},
		"associations": {Verifier: c, Roles: c, Audit: c},
		"roles":        {Verifier: c, Associations: c, Audit: c},
		"audit":        {Verifier: c, Associations: c, Roles: c},
	} {
		if _, err := New(config); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}
