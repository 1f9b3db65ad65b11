package explain_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

const (
	tagsWorld = "../../examples/worlds/tags.yaml"
	namedRole = `                ArnEquals:
                  aws:PrincipalARN: arn:aws:iam::111122223333:role/eks-pod-identity-primary-role
`
	pinnedTags = `                  aws:RequestTag/eks-cluster-arn: arn:aws:eks:us-west-2:111122223333:cluster/example-cluster
                  aws:RequestTag/kubernetes-namespace: default
                  aws:RequestTag/kubernetes-service-account: demo-app-sa
`
)

var random = regexp.MustCompile(`a-[0-9a-z]{17}\b|AROA[0-9A-Z]{17}`)

// TestPrinted holds the text that people read, for every world.
func TestPrinted(t *testing.T) {
	for _, path := range worlds(t, "*.yaml", 28) {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, path)
			got := printed(t, w.explain(w.config(), w.question()))
			got = random.ReplaceAllStringFunc(got, func(s string) string {
				if s[0] == 'a' {
					return "a-abcdefghijklmnop1"
				}
				return "AROAEXAMPLEROLEID0001"
			})
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("printed otherwise than %s (-update writes it anew):\n%s", golden, got)
			}
		})
	}
}

// step returns a step's verdict; "" where it was not walked.
func step(r *explain.Report, name string) explain.Verdict {
	for _, s := range r.Steps {
		if s.Name == name {
			return s.Verdict
		}
	}
	return ""
}

// TestOpen: what a condition asks about is not always known beforehand. Then,
// and only then, the answer is open.
func TestOpen(t *testing.T) {
	allowIf := func(condition string) []string { return []string{pinnedTags, pinnedTags + condition} }
	for _, test := range []struct {
		name  string
		pairs []string
		pod   string
		want  explain.Verdict
	}{
		{"a pod that is not named", allowIf("                  aws:RequestTag/kubernetes-pod-name: web-0\n"), "", explain.Unknown},
		{"the pod named", allowIf("                  aws:RequestTag/kubernetes-pod-name: web-0\n"), "web-0", explain.Allowed},
		{"another pod named", allowIf("                  aws:RequestTag/kubernetes-pod-name: web-0\n"), "web-1", explain.Refused},
		{"the caller's address", allowIf("                IpAddress:\n                  aws:SourceIp: 203.0.113.0/24\n"), "", explain.Unknown},
		{"a key that no such request has", allowIf("                  aws:username: somebody\n"), "", explain.Refused},
		{"a key of AWS that podid does not know", allowIf("                  aws:SomethingNew: x\n"), "", explain.Unknown},
		{"only whether there is a pod", allowIf("                \"Null\":\n                  aws:RequestTag/kubernetes-pod-name: \"false\"\n"), "", explain.Allowed},
		{"refused whatever the address", append(allowIf("                IpAddress:\n                  aws:SourceIp: 203.0.113.0/24\n"),
			"kubernetes-namespace: default", "kubernetes-namespace: shop"), "", explain.Refused},
		{"a variable", allowIf("                StringLike:\n                  aws:userid: \"*:eks-*-${aws:RequestTag/kubernetes-pod-name}-*\"\n"), "", explain.Unknown},
		{"a variable in a resource", []string{"Resource: arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources",
			"Resource: \"arn:aws:iam::444455556666:role/${aws:PrincipalTag/kubernetes-pod-name}\""}, "", explain.Unknown},
		{"a Deny of an address", []string{"                Resource: arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources\n",
			`                Resource: arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources
              - Effect: Deny
                Action: sts:AssumeRole
                Resource: "*"
                Condition:
                  NotIpAddress:
                    aws:SourceIp: 203.0.113.0/24
`}, "", explain.Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := startEdited(t, tagsWorld, test.pairs...)
			q := w.question()
			q.Pod, q.PodUID = test.pod, ""
			r := w.explain(w.config(), q)
			if got := step(r, explain.StepHop2); got != test.want {
				t.Errorf("hop 2 is %s, want %s\n%s", got, test.want, printed(t, r))
			}
		})
	}
}

// TestUnseen: what could not be read is said, and never taken for allowed; what
// is refused for certain stays refused.
func TestUnseen(t *testing.T) {
	without := func(w *world, lost ...string) explain.Config {
		c := w.config()
		reach := c.Account
		c.Account = func(ctx context.Context, id string) (explain.Access, error) {
			for _, account := range lost {
				if id == account {
					return explain.Access{}, errors.New("no credentials for it")
				}
			}
			return reach(ctx, id)
		}
		return c
	}
	for _, test := range []struct {
		name, world  string
		lost         []string
		hop1, hop2   explain.Verdict
		whole        explain.Verdict
		unseen       string
		withoutFixes bool
	}{
		{name: "the target account", world: "tags.yaml", lost: []string{"444455556666"}, hop1: explain.Allowed, hop2: explain.Unknown, whole: explain.Unknown,
			unseen: "trust policy of role eks-pod-identity-aws-resources", withoutFixes: true},
		{name: "the target account, and hop 1 refused", world: "denied-first-hop.yaml", lost: []string{"444455556666"}, hop1: explain.Refused, hop2: explain.Unknown, whole: explain.Refused,
			unseen: "trust policy of role eks-pod-identity-aws-resources"},
		{name: "the target account, and no permission", world: "denied-no-permission.yaml", lost: []string{"444455556666"}, hop1: explain.Allowed, hop2: explain.Refused, whole: explain.Refused,
			unseen: "trust policy of role eks-pod-identity-aws-resources"},
		{name: "the cluster account", world: "denied-wrong-service-account.yaml", lost: []string{"111122223333"}, hop1: explain.Unknown, hop2: explain.Refused, whole: explain.Refused,
			unseen: "permissions of role eks-pod-identity-primary-role"},
		{name: "the organization", world: "denied-rcp.yaml", lost: []string{"999988887777"}, hop1: explain.Unknown, hop2: explain.Unknown, whole: explain.Unknown,
			unseen: "resource control policies of account 444455556666", withoutFixes: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, "../../examples/worlds/"+test.world)
			r := w.explain(without(w, test.lost...), w.question())
			if h1, h2 := step(r, explain.StepHop1), step(r, explain.StepHop2); h1 != test.hop1 || h2 != test.hop2 || r.Verdict != test.whole {
				t.Errorf("hop 1 %s, hop 2 %s, all %s, want %s, %s, %s\n%s", h1, h2, r.Verdict, test.hop1, test.hop2, test.whole, printed(t, r))
			}
			if text := printed(t, r); !strings.Contains(text, "Could not see") || !strings.Contains(text, test.unseen) {
				t.Errorf("does not say that it could not see %q:\n%s", test.unseen, text)
			}
			if test.withoutFixes && commands(r) != "" {
				t.Errorf("a fix for what was not seen:\n%s", commands(r))
			}
		})
	}
}

// TestWarnings: what works and is dangerous.
func TestWarnings(t *testing.T) {
	const permission = "                Resource: arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources\n"
	for _, test := range []struct {
		name  string
		pairs []string
		want  []string // in order; none: no warning
	}{
		{name: "the guide's form"},
		{name: "no role named", pairs: []string{namedRole, ""}, want: []string{"any role of account 111122223333"}},
		{name: "no tags", pairs: []string{"                StringEquals:\n" + pinnedTags, ""}, want: []string{"confused deputy"}},
		{name: "no condition at all", pairs: []string{"              Condition:\n                StringEquals:\n" + pinnedTags + namedRole, ""},
			want: []string{"any role of account 111122223333", "confused deputy"}},
		{name: "everyone", pairs: []string{"              Condition:\n                StringEquals:\n" + pinnedTags + namedRole, "", `{AWS: "arn:aws:iam::111122223333:root"}`, `"*"`},
			want: []string{"any role of any AWS account", "confused deputy"}},
		{name: "everyone on the first hop", pairs: []string{"Principal: {Service: pods.eks.amazonaws.com}", `Principal: "*"`},
			want: []string{"any role of any AWS account may assume the Pod Identity role"}},
		{name: "PassRole on everything", pairs: []string{permission, permission + "              - {Effect: Allow, Action: iam:PassRole, Resource: \"*\"}\n"},
			want: []string{"eks-pod-identity-primary-role (111122223333) may pass any role"}},
		{name: "PassRole on one role", pairs: []string{permission, permission + "              - {Effect: Allow, Action: iam:PassRole, Resource: \"arn:aws:iam::111122223333:role/x\"}\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := startEdited(t, tagsWorld, test.pairs...)
			r := w.explain(w.config(), w.question())
			if r.Verdict != explain.Allowed {
				t.Fatalf("verdict %s\n%s", r.Verdict, printed(t, r))
			}
			if len(r.Warnings) != len(test.want) {
				t.Fatalf("warnings %+v, want %q", r.Warnings, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(r.Warnings[i].Text, want) {
					t.Errorf("warning %q, want %q", r.Warnings[i].Text, want)
				}
			}
		})
	}
}

// TestPackedSize forecasts what STS may refuse for its size.
func TestPackedSize(t *testing.T) {
	var resources strings.Builder
	for i := range 8 {
		resources.WriteString("            - arn:aws:s3:::b/" + uneven(i+1, 220) + "\n")
	}
	w := startEdited(t, "../../examples/worlds/session-policy.yaml", "          Action: s3:ListBucket\n          Resource: arn:aws:s3:::example-data-444455556666\n",
		"          Action: s3:ListBucket\n          Resource:\n"+resources.String())
	r := w.explain(w.config(), w.question())
	if _, ok := w.credentials(); ok {
		t.Fatal("the small AWS takes the session policy")
	}
	if r.Verdict != explain.Unknown || len(r.Warnings) == 0 || !r.Warnings[0].Forecast || !strings.Contains(printed(t, r), "(a forecast)") {
		t.Errorf("verdict %s, want unknown and a forecast\n%s", r.Verdict, printed(t, r))
	}
}

// uneven makes text that does not compress well.
func uneven(seed, length int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	out := make([]byte, length)
	for i := range out {
		seed = (seed*1103515245 + 12345) & 0x7fffffff
		out[i] = letters[seed>>16%len(letters)]
	}
	return string(out)
}

// TestProposed: an association need not exist.
func TestProposed(t *testing.T) {
	w := start(t, tagsWorld)
	a := identity.Association{
		Cluster: w.info.Cluster, Namespace: "shop", ServiceAccount: "checkout",
		RoleARN: "arn:aws:iam::111122223333:role/eks-pod-identity-primary-role", TargetRoleARN: "arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources",
	}
	r := w.explain(w.config(), explain.Question{Association: &a})
	if step(r, explain.StepAssociation) != explain.Allowed || step(r, explain.StepHop2) != explain.Refused {
		t.Errorf("association %s, hop 2 %s\n%s", step(r, explain.StepAssociation), step(r, explain.StepHop2), printed(t, r))
	}
	if !strings.Contains(commands(r), `"aws:RequestTag/kubernetes-service-account":"checkout"`) {
		t.Errorf("no statement for the new association in %s", commands(r))
	}
}

// TestNoAssociation: what may have been meant, and what to do.
func TestNoCluster(t *testing.T) {
	w := start(t, tagsWorld)
	q := w.question()
	q.Cluster = "exmaple-cluster"
	r := w.explain(w.config(), q)
	if s := r.Steps[0]; r.Verdict != explain.Refused || len(s.Fixes) != 0 || !strings.Contains(s.Findings[0].Text, "no cluster exmaple-cluster") ||
		!strings.HasSuffix(s.Findings[0].Text, "; there are example-cluster") {
		t.Errorf("%s: %+v", r.Verdict, s)
	}
}

func TestNoAssociation(t *testing.T) {
	w := start(t, tagsWorld)
	q := w.question()
	q.Namespace = "defualt"
	r := w.explain(w.config(), q)
	text := printed(t, r)
	for _, want := range []string{"there are associations of default/demo-app-sa", "create-pod-identity-association --cluster-name example-cluster --namespace defualt"} {
		if r.Verdict != explain.Refused || !strings.Contains(text, want) {
			t.Errorf("verdict %s, want %q in\n%s", r.Verdict, want, text)
		}
	}
	q.Cluster = "no-such-cluster"
	if r := w.explain(w.config(), q); r.Verdict != explain.Refused || !strings.Contains(printed(t, r), "there is no cluster no-such-cluster") {
		t.Errorf("verdict %s\n%s", r.Verdict, printed(t, r))
	}
}

// TestFirstHopAs: off EKS, podid comes with an IAM identity of its own, which
// the trust policy of the Pod Identity role has to name.
func TestFirstHopAs(t *testing.T) {
	const podid = "arn:aws:iam::111122223333:user/administrator"
	for _, test := range []struct {
		name, principal string
		want            explain.Verdict
	}{
		{"the service alone is trusted", "{Service: pods.eks.amazonaws.com}", explain.Refused},
		{"podid is trusted", "{AWS: \"" + podid + "\"}", explain.Allowed},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := startEdited(t, tagsWorld, "{Service: pods.eks.amazonaws.com}", test.principal)
			c := w.config()
			c.FirstHopAs = podid
			r := w.explain(c, w.question())
			if got := step(r, explain.StepHop1); got != test.want {
				t.Errorf("hop 1 %s, want %s\n%s", got, test.want, printed(t, r))
			}
			if test.want == explain.Refused && !strings.Contains(commands(r), podid) {
				t.Errorf("the fix does not name podid's identity: %s", commands(r))
			}
		})
	}
}

// TestDisagreement is said loudly.
func TestDisagreement(t *testing.T) {
	w := start(t, tagsWorld)
	q := w.question()
	q.Token = identity.Secret(w.token())
	q.Association = &identity.Association{
		Cluster: w.info.Cluster, Namespace: q.Namespace, ServiceAccount: q.ServiceAccount,
		RoleARN: "arn:aws:iam::111122223333:role/no-such-role",
	}
	r := w.explain(w.config(), q)
	if r.Live == nil || r.Live.Agrees || r.Live.Verdict != explain.Allowed || !strings.Contains(printed(t, r), "THE PREDICTION WAS WRONG") {
		t.Errorf("live %+v\n%s", r.Live, printed(t, r))
	}
	// It worked, and should not have: nobody knows.
	if r.Verdict != explain.Unknown || !strings.HasPrefix(printed(t, r), "UNKNOWN: it worked when it was tried") {
		t.Errorf("%s\n%s", r.Verdict, printed(t, r))
	}
	// It was refused, and should not have been: it is refused.
	w = start(t, "../../examples/worlds/denied-wrong-service-account.yaml")
	q = w.question()
	q.Token = identity.Secret(w.token())
	q.Association = &identity.Association{
		Cluster: w.info.Cluster, Namespace: q.Namespace, ServiceAccount: q.ServiceAccount, RoleARN: "arn:aws:iam::111122223333:role/eks-pod-identity-primary-role",
	}
	r = w.explain(w.config(), q)
	if r.Verdict != explain.Refused || r.Live.Agrees || !strings.HasPrefix(printed(t, r), "REFUSED when it was tried") {
		t.Errorf("%s, live %+v\n%s", r.Verdict, r.Live, printed(t, r))
	}
	q.Association, q.Token = nil, "not a token"
	if r := w.explain(w.config(), q); r.Live == nil || r.Live.Verdict != explain.Unknown {
		t.Errorf("live %+v for what is no token", r.Live)
	}
}

// TestWidth: sentences wrap, where their places stay aligned; what is to be
// copied does not.
func TestWidth(t *testing.T) {
	const width = 90
	w := start(t, "../../examples/worlds/denied-wrong-service-account.yaml")
	r := w.explain(w.config(), w.question())
	unwrapped := printed(t, r)
	for _, color := range []bool{false, true} {
		var out bytes.Buffer
		if err := explain.Print(&out, r, explain.Style{Color: color, Width: width}); err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(out.String(), "")
		if got := strings.Join(strings.Fields(text), " "); got != strings.Join(strings.Fields(unwrapped), " ") {
			t.Errorf("says something else:\n%s", text)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			words := strings.Fields(line)
			if len([]rune(line)) > width && len(words) > 1 && !strings.HasPrefix(line, "aws ") && !strings.HasPrefix(line, "     ") {
				t.Errorf("%d columns: %s", len([]rune(line)), line)
			}
		}
		for _, want := range []string{
			"\n    session tags  eks-cluster-arn, eks-cluster-name, kubernetes-namespace,\n                  kubernetes-service-account,", // under the value
			"\n✗ Hop 2: the Pod Identity role assumes the target role\n  arn:aws:iam",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
}

// TestHostileText: another account's policy can neither begin a line of what is
// printed, where commands stand, nor steer the terminal.
func TestHostileText(t *testing.T) {
	w := startEdited(t, tagsWorld, "kubernetes-namespace: default", `kubernetes-namespace: "x\naws iam evil\u0085aws iam evil"`)
	r := w.explain(w.config(), w.question())
	for _, color := range []bool{false, true} {
		var out bytes.Buffer
		if err := explain.Print(&out, r, explain.Style{Color: color}); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); !strings.Contains(text, "iam evil") || strings.Contains(text, "\naws iam evil") || strings.Contains(text, "\u0085") {
			t.Errorf("printed as it came:\n%q", text)
		}
	}
}

// TestQuestions that make no sense.
func TestQuestions(t *testing.T) {
	w := start(t, tagsWorld)
	e, err := explain.New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		q    explain.Question
		want string
	}{
		{explain.Question{}, "no cluster"},
		{explain.Question{Cluster: "c"}, "name the service account"},
		{explain.Question{Cluster: "c", Namespace: "n", ServiceAccount: "s", Action: "s3:GetObject"}, "--resource"},
		{explain.Question{Cluster: "c", Namespace: "n", ServiceAccount: "s", Resource: "*"}, "--action"},
	} {
		if _, err := e.Explain(t.Context(), test.q); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.q, err, test.want)
		}
	}
}
