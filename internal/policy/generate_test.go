package policy

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// generator makes worlds: requests with policies that often bear on them. The
// pools are small so that statements match about as often as they do not.
type generator struct {
	*rand.Rand
	tb testing.TB
}

func newGenerator(tb testing.TB, seed uint64) *generator {
	return &generator{rand.New(rand.NewPCG(seed, 1)), tb}
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// some returns up to n of what make makes, at least least.
func some[T any](g *generator, least, n int, make func() T) []T {
	var all []T
	for range least + g.IntN(n-least+1) {
		all = append(all, make())
	}
	return all
}

type world struct {
	request  Request
	policies Policies
}

func (g *generator) world() *world {
	w := &world{}
	w.request.Principal = g.principal()
	w.request.Action, w.request.Resource = pick(g, "s3:GetObject", "s3:PutObject"), pick(g, "arn:aws:s3:::data/a", "arn:aws:s3:::data/team-blue/b", "*")
	w.request.ResourceAccountID = pick(g, "111122223333", "111122223333", "444455556666")
	resource := Resource
	if g.IntN(2) == 0 {
		resource = Trust
		w.request.Action = pick(g, "sts:AssumeRole", "sts:TagSession", "sts:AssumeRoleWithWebIdentity")
		w.request.Resource = "arn:aws:iam::" + w.request.ResourceAccountID + ":role/target"
	}
	w.request.Context = g.context()
	p := &w.policies
	p.Identity = some(g, 0, 3, func() Policy { return g.policy(Identity) })
	p.Resource = some(g, 0, 2, func() Policy { return g.policy(resource) })
	if g.IntN(3) == 0 {
		p.Boundary = []Policy{g.policy(Boundary)}
	}
	if g.IntN(3) == 0 {
		p.Session = some(g, 1, 2, func() Policy { return g.policy(Session) })
	}
	if g.IntN(4) == 0 {
		p.SCP = some(g, 1, 3, func() []Policy { return some(g, 1, 2, func() Policy { return g.policy(SCP) }) })
	}
	if g.IntN(4) == 0 {
		p.ResourceRCP = some(g, 1, 2, func() []Policy { return some(g, 1, 2, func() Policy { return g.policy(RCP) }) })
	}
	return w
}

func (g *generator) principal() Principal {
	account := pick(g, "111122223333", "111122223333", "444455556666")
	switch g.IntN(12) {
	case 0:
		return Principal{Kind: Anonymous}
	case 1:
		return Principal{Kind: Service, Service: "pods.eks.amazonaws.com"}
	case 2:
		return Principal{Kind: WebIdentity, Provider: "accounts.google.com"}
	case 3:
		return Principal{Kind: Root, AccountID: account, ARN: "arn:aws:iam::" + account + ":root"}
	case 4, 5, 6:
		return Principal{Kind: User, AccountID: account, ARN: "arn:aws:iam::" + account + ":user/alice", UniqueID: "AIDAALICE000000000001"}
	}
	return Principal{
		Kind: RoleSession, AccountID: account, RoleARN: "arn:aws:iam::" + account + ":role/app",
		ARN: "arn:aws:sts::" + account + ":assumed-role/app/s", UniqueID: "AROAAPP00000000000001",
	}
}

func (g *generator) context() Context {
	c := Context{}
	for _, kv := range [][]string{
		{"aws:PrincipalTag/team", "blue", "red"}, {"sts:ExternalId", "x", "y"}, {"aws:SecureTransport", "true", "false"},
		{"aws:TagKeys", "team", "stage"}, {"aws:SourceIp", "10.0.0.1", "nonsense"}, {"s3:max-keys", "5", "50"},
	} {
		switch g.IntN(4) {
		case 0, 1:
			c.Set(kv[0], kv[1])
		case 2:
			c.Set(kv[0], kv[1+g.IntN(2)])
		}
	}
	if g.IntN(8) == 0 {
		c.Set("aws:TagKeys", "team", "stage")
	}
	return c
}

func (g *generator) policy(t Type) Policy {
	return g.parse(t, some(g, 1, 3, func() string { return g.statement(t, "") }))
}

// denyOnly makes a policy all of whose statements deny.
func (g *generator) denyOnly(t Type) Policy {
	return g.parse(t, some(g, 1, 2, func() string { return g.statement(t, "Deny") }))
}

func (g *generator) parse(t Type, statements []string) Policy {
	text := `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	d, err := Parse(t, text)
	if err != nil {
		g.tb.Fatalf("the generator made what does not parse: %v\n%s", err, text)
	}
	return Policy{Name: "made", Type: t, Document: d}
}

func (g *generator) statement(t Type, effect string) string {
	if effect == "" {
		effect = pick(g, "Allow", "Allow", "Allow", "Deny")
	}
	elements := []string{}
	switch {
	case t == RCP:
		effect = "Deny"
		elements = append(elements, `"Principal":"*"`)
	case t == Trust || t == Resource && g.IntN(5) > 0:
		elements = append(elements, `"Principal":`+g.principals())
	case t == Resource:
		elements = append(elements, `"NotPrincipal":{"AWS":`+pick(g, `"111122223333"`, `["111122223333","arn:aws:iam::111122223333:role/app"]`,
			`["arn:aws:iam::111122223333:root","arn:aws:iam::111122223333:user/alice"]`)+`}`)
	}
	elements = append(elements, `"Effect":"`+effect+`"`, g.action(t))
	if t != Trust {
		elements = append(elements, pick(g, `"Resource":"*"`, `"Resource":"*"`, `"Resource":["arn:aws:s3:::data/*","arn:aws:iam::*:role/*"]`,
			`"Resource":"arn:aws:s3:::data/team-${aws:PrincipalTag/team}/*"`, `"NotResource":"arn:aws:s3:::data/team-*"`))
	}
	// A Deny without conditions would deny nearly everything.
	if effect == "Deny" || g.IntN(2) == 0 {
		elements = append(elements, `"Condition":{`+g.conditions()+`}`)
	}
	return "{" + strings.Join(elements, ",") + "}"
}

func (g *generator) principals() string {
	account := pick(g, "111122223333", "111122223333", "444455556666")
	return pick(g, `"*"`, `{"AWS":"`+account+`"}`, `{"AWS":"arn:aws:iam::`+account+`:role/app"}`,
		`{"AWS":["arn:aws:iam::`+account+`:user/alice","arn:aws:sts::`+account+`:assumed-role/app/s"]}`,
		`{"AWS":"AROAAPP00000000000001","Service":"pods.eks.amazonaws.com"}`, `{"Federated":"accounts.google.com"}`)
}

func (g *generator) action(t Type) string {
	if t == Trust {
		return pick(g, `"Action":"sts:AssumeRole"`, `"Action":"sts:*"`, `"Action":["sts:TagSession","sts:AssumeRole*"]`, `"NotAction":"sts:TagSession"`)
	}
	if t == RCP {
		return pick(g, `"Action":"*"`, `"Action":["s3:PutObject","sts:TagSession"]`)
	}
	return pick(g, `"Action":"*"`, `"Action":"*"`, `"Action":["s3:Get*","sts:AssumeRole"]`, `"Action":"s3:*"`, `"NotAction":["s3:PutObject","sts:TagSession"]`)
}

func (g *generator) conditions() string {
	pool := []string{
		`"StringEquals":{"aws:PrincipalTag/team":"blue"}`, `"StringNotEquals":{"sts:ExternalId":["y","z"]}`,
		`"StringLikeIfExists":{"sts:ExternalId":"x*"}`, `"Bool":{"aws:SecureTransport":"true"}`,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}`, `"ForAnyValue:StringNotEquals":{"aws:TagKeys":"team"}`,
		`"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}`, `"NumericLessThan":{"s3:max-keys":10}`,
		`"Null":{"sts:ExternalId":"false"}`, `"StringEqualsIgnoreCase":{"aws:TagKeys":"TEAM"}`, `"StringEquals":{"aws:PrincipalTag/team":[]}`,
	}
	one := pick(g, pool...)
	if other := pick(g, pool...); g.IntN(3) == 0 && !strings.HasPrefix(other, one[:strings.IndexByte(one, ':')]) && !strings.HasPrefix(one, other[:strings.IndexByte(other, ':')]) {
		return one + "," + other
	}
	return one
}
