package explain

import (
	"fmt"
	"maps"
	"slices"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// warn adds what works and is dangerous. It asks the judge about others than
// this pod: whoever is let in besides it, is.
func (w *walk) warn(a identity.Association, stages []*stage) {
	for _, s := range stages {
		switch s.name {
		case StepHop2:
			w.warnOfTrust(a, s)
			w.warnOfPassRole(s.caller)
			w.warnOfPassRole(s.role)
		case StepHop1:
			w.warnOfEveryone(s)
			if a.TargetRoleARN == "" {
				w.warnOfPassRole(s.role)
			}
		}
		if s.name != StepAction {
			w.forecast(s)
		}
	}
}

func (w *walk) warning(where, format string, args ...any) {
	w.report.Warnings = append(w.report.Warnings, Warning{Text: fmt.Sprintf(format, args...), Where: where})
}

const (
	somebody      = "podid-explain-somebody-else" // a role and a pod that nobody has
	otherAccount  = "000000000000"
	otherExternal = "us-west-2/000000000000/other/other/other"
)

// admits tells whether the trust policy of the stage's role lets in a variation
// of its first ask, were the caller's own policies to allow everything.
func (s *stage) admits(vary func(*policy.Request)) bool {
	if len(s.asks) == 0 || s.role.unseen != "" || s.role.trust.text == "" {
		return false
	}
	one := *s.asks[0]
	one.request.Context = maps.Clone(one.request.Context)
	vary(&one.request)
	one.unseen, one.mayAllow = false, []policy.Type{policy.Identity}
	one.identity, one.boundary, one.scp = nil, nil, nil
	return policy.Evaluate(&one.request, one.policies(true)).Allowed()
}

// inAccount makes the caller another role of an account.
func inAccount(account string) func(*policy.Request) {
	return func(r *policy.Request) {
		role := "arn:aws:iam::" + account + ":role/" + somebody
		r.Principal = policy.Principal{
			Kind: policy.RoleSession, AccountID: account, RoleARN: role, UniqueID: "AROA0000000000000000",
			ARN: "arn:aws:sts::" + account + ":assumed-role/" + somebody + "/" + somebody,
		}
		r.Context.Set("aws:PrincipalArn", role)
		r.Context.Set("aws:PrincipalAccount", account)
		r.Context.Set("aws:userid", r.Principal.UniqueID+":"+somebody)
		if account == otherAccount {
			r.Context.Set("aws:PrincipalOrgID", "o-0000000000")
		}
	}
}

// warnOfTrust asks who else the target role lets in. Session tags and external
// IDs are what a caller sends: they tell the pods of one role apart, not roles.
func (w *walk) warnOfTrust(a identity.Association, s *stage) {
	where := s.role.trust.name
	account := s.caller.arn.AccountID
	switch {
	case s.admits(inAccount(otherAccount)):
		w.warning(where, "any role of any AWS account may assume the target role: name the Pod Identity role as the principal, or in a condition on aws:PrincipalArn")
	case s.admits(inAccount(account)):
		w.warning(where, "any role of account %s that may call sts:AssumeRole may assume the target role, session tags and external ID included: "+
			"add a condition on aws:PrincipalArn", account)
	}
	if s.admits(otherPod) {
		form := "aws:RequestTag/eks-cluster-arn, aws:RequestTag/kubernetes-namespace and aws:RequestTag/kubernetes-service-account"
		if a.DisableSessionTags {
			form = "sts:ExternalId, which is " + a.ExternalID()
		}
		w.warning(where, "every pod that gets the Pod Identity role reaches the target role, whatever its service account (confused deputy): add a condition on %s", form)
	}
}

// otherPod is a pod of another service account, with an association of its own
// to the same two roles.
func otherPod(r *policy.Request) {
	if _, ok := r.Context.Get("sts:ExternalId"); ok {
		r.Context.Set("sts:ExternalId", otherExternal)
	}
	for _, prefix := range []string{"aws:RequestTag/", "aws:PrincipalTag/"} {
		for _, tag := range []string{"eks-cluster-arn", "eks-cluster-name", "kubernetes-namespace", "kubernetes-service-account", "kubernetes-pod-name", "kubernetes-pod-uid"} {
			if _, ok := r.Context.Get(prefix + tag); ok {
				r.Context.Set(prefix+tag, somebody)
			}
		}
	}
}

func (w *walk) warnOfEveryone(s *stage) {
	if s.admits(inAccount(otherAccount)) {
		w.warning(s.role.trust.name, "any role of any AWS account may assume the Pod Identity role: name %s as the principal, and nobody else", identity.ServicePrincipal)
	}
}

// warnOfPassRole: who may pass any role to any service has the rights of all roles
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html).
func (w *walk) warnOfPassRole(r *role) {
	any := identity.ARN{Partition: r.arn.Partition, Service: "iam", AccountID: r.arn.AccountID, Resource: "role/" + somebody}
	one := &ask{
		request: policy.Request{Principal: callerOf(r, somebody), Action: "iam:PassRole", Resource: any.String(), ResourceAccountID: any.AccountID, Context: policy.Context{}},
		open:    func(string) bool { return false }, given: func(string) bool { return false },
		identity: r.identity, boundary: r.boundary,
	}
	if d := policy.Evaluate(&one.request, one.policies(false)); d.Allowed() {
		w.warning(policiesOf(granting(d.Reasons)), "%s may pass any role of its account to any service, and so act as any of them: narrow iam:PassRole to the roles meant", r.noun())
	}
}

// tightFrom is from how many percent of the packed size on to warn. AWS's own
// measure is not published.
const tightFrom = 90

// usual stands in for a pod that is not known: a Deployment's, of usual length.
var usual = map[string]string{
	"kubernetes-pod-name": "application-7d9c5b8f6d-x2x9k", "kubernetes-pod-uid": "3f0b5a1c-9d1e-4c57-8f2a-6b1d0e9c7a54",
}

// forecast estimates whether session tags and session policy fit.
func (w *walk) forecast(s *stage) {
	var tags, keys []string
	for _, t := range slices.Concat(s.inherited, s.hop.Tags) {
		value := t.Value
		if value == anyPod {
			value = usual[t.Key]
		}
		tags, keys = append(tags, t.Key, value), append(keys, t.Key) // all of them are transitive
	}
	percent, err := policy.PackedSize([]string{s.hop.Policy}, append(tags, keys...))
	if err != nil || percent < tightFrom {
		return
	}
	text := fmt.Sprintf("session tags and session policy take about %d%% of the room that STS has for them", percent)
	if percent > 100 {
		text += ", and STS would then refuse with PackedPolicyTooLarge: shorten the session policy, or disable session tags"
		for i := range w.report.Steps {
			if step := &w.report.Steps[i]; step.Name == s.name {
				step.Verdict = worse(step.Verdict, Unknown)
				step.Findings = append(step.Findings, Finding{Verdict: Unknown, Text: text})
			}
		}
	}
	w.report.Warnings = append(w.report.Warnings, Warning{Text: text, Where: stepLabels[s.name], Forecast: true})
}
