package console

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/rolepolicy"
)

// explainTimeout bounds one explanation: it reads policies of several accounts.
const explainTimeout = 20 * time.Second

// preview answers what would come of saving an association.
func (c *Console) preview(k *call) (any, error) {
	var in PreviewInput
	if err := k.decode(&in); err != nil {
		return nil, err
	}
	if (in.Action == "") != (in.Resource == "") {
		return nil, identity.Errorf(identity.InvalidParameter, "action and resource go together; the resource * is for actions that have none.")
	}
	a, before, err := c.previewed(k, in)
	out := Preview{Problems: []Problem{}}
	refuse := func(err error) {
		out.Problems = append(out.Problems, Problem{Field: fieldOf(err), Code: codeOf(err), Message: identity.SafeMessage(err)})
	}
	switch identity.KindOf(err) {
	case identity.InvalidParameter, identity.InUse:
		refuse(err)
	default:
		if err != nil {
			return nil, err
		}
	}
	if c.config.ReadOnly {
		refuse(errReadOnly)
	}
	if err := c.config.Rules.Validate(a); err != nil {
		refuse(err)
		return out, nil
	}
	saved, err := c.tried(k, before, a)
	if err != nil {
		refuse(err)
	}
	out.Valid, out.Warnings = len(out.Problems) == 0, saved.Warnings
	policies, failed := c.policiesOf(a)
	if failed != nil {
		return nil, failed
	}
	out.Policies = policies
	// podid's own credentials read what is explained: of roles that the user may
	// not pass, it is not theirs to know. That they may is known once it could be
	// saved, or but for an association that is there: that is found out last.
	passed := err == nil || before == nil && identity.KindOf(err) == identity.InUse
	if c.config.Mode == Kubernetes && !passed {
		out.Explanation = &Explanation{
			Chain: chainOf(a, nil, c.config.Surroundings.Accounts, in.Resource), At: c.config.Now().UTC(),
			Unavailable: "You could not make this association, and so are not shown the policies of its roles.",
		}
		return out, nil
	}
	out.Explanation = c.explained(k.Context(), a, explain.Question{Association: &a, Action: in.Action, Resource: in.Resource})
	return out, nil
}

// previewed is the association as it would be, and the one that it would replace, if any.
func (c *Console) previewed(k *call, in PreviewInput) (identity.Association, *Record, error) {
	if in.ID == "" {
		a, err := c.asked(in.Association)
		return a, nil, err
	}
	k.SetPathValue("id", in.ID)
	before, err := c.named(k)
	if err != nil {
		return identity.Association{}, nil, err
	}
	a, err := c.edited(before, in.Association)
	return a, &before, err
}

// tried asks whether the user could save it.
func (c *Console) tried(k *call, before *Record, a identity.Association) (Saved, error) {
	if before != nil {
		return k.user.Update(k.Context(), *before, a, true)
	}
	return k.user.Create(k.Context(), a, true)
}

// explanation answers with what podid explain says.
func (c *Console) explanation(k *call) (any, error) {
	q := queryOf(k.Request)
	question := explain.Question{Action: q.one("action"), Resource: q.one("resource"), Pod: q.one("pod")}
	if (question.Action == "") != (question.Resource == "") {
		q.fail("action and resource go together; the resource * is for actions that have none.")
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	r, err := c.named(k)
	if err != nil {
		return nil, err
	}
	question.Association = &r.Association
	c.verify.look(r)
	out := c.explained(k.Context(), r.Association, question)
	out.Chain.tried(r)
	return out, nil
}

func (c *Console) explained(ctx context.Context, a identity.Association, q explain.Question) *Explanation {
	out := &Explanation{At: c.config.Now().UTC()}
	switch {
	case c.config.Explain == nil:
		out.Unavailable = "Policies cannot be read here. Run podid explain with your own AWS credentials."
	default:
		ctx, cancel := context.WithTimeout(ctx, explainTimeout)
		defer cancel()
		report, err := c.config.Explain(ctx, q)
		if err != nil {
			c.config.Logger.WarnContext(ctx, "explaining", "association", a.ID, "error", err)
			out.Unavailable = "It could not be explained at present: the policies could not be read."
		}
		out.Report = report
	}
	out.Chain = chainOf(a, out.Report, c.config.Surroundings.Accounts, q.Resource)
	return out
}

// anyPod stands for the pod, and randomEnd for the end of session names.
const (
	anyPod    = "<any pod>"
	randomEnd = "<random>"
)

// chainOf draws the chain of an association, with the verdicts of a report.
func chainOf(a identity.Association, report *explain.Report, names map[string]string, resource string) Chain {
	verdicts := map[string]explain.Verdict{}
	if report != nil {
		for _, s := range report.Steps {
			verdicts[s.Name] = s.Verdict
		}
	}
	out := Chain{Accounts: []ChainAccount{}, Arrows: []ChainArrow{}}
	out.Nodes = []ChainNode{{ID: "pod", Kind: "pod", Label: a.Namespace + "/" + a.ServiceAccount}}
	add := func(id, kind, arn string) {
		n := ChainNode{ID: id, Kind: kind, Label: arn, ARN: arn}
		if parsed, err := identity.ParseARN(arn); err == nil {
			n.Account = parsed.AccountID
			n.Label = cmp.Or(parsed.RoleName(), arn)
		}
		out.Nodes = append(out.Nodes, n)
		for _, known := range out.Accounts {
			if known.ID == n.Account {
				return
			}
		}
		if n.Account != "" {
			out.Accounts = append(out.Accounts, ChainAccount{ID: n.Account, Name: names[n.Account]})
		}
	}
	arrow := func(step, label string, hop identity.Hop, inherited []identity.Tag) {
		last := len(out.Nodes) - 1
		out.Arrows = append(out.Arrows, ChainArrow{
			From: out.Nodes[last-1].ID, To: out.Nodes[last].ID, Step: step, Label: label, Verdict: cmp.Or(verdicts[step], explain.Unknown),
			Tags: tags(hop.Tags), InheritedTags: tags(inherited), ExternalID: hop.ExternalID, SessionName: hop.SessionName,
			DurationSeconds: int(hop.Duration / time.Second), SessionPolicy: hop.Policy != "",
		})
	}
	steps := []string{explain.StepHop1, explain.StepHop2}
	nodes := []struct{ id, kind string }{{"role", "podIdentityRole"}, {"target", "targetRole"}}
	var sent []identity.Tag
	for i, hop := range issue.Chain(a, identity.Subject{Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, PodName: anyPod, PodUID: anyPod}, "") {
		hop.SessionName += randomEnd
		add(nodes[i].id, nodes[i].kind, hop.RoleARN)
		arrow(steps[i], "sts:AssumeRole", hop, sent)
		sent = hop.Tags
	}
	if v, ok := verdicts[explain.StepAction]; ok && v != "" {
		add("action", "resource", resource)
		arrow(explain.StepAction, "the action", identity.Hop{}, nil)
	}
	return out
}

// tried marks the arrows with what came of them when podid last tried.
func (c *Chain) tried(r Record) {
	for i := range c.Arrows {
		arrow := &c.Arrows[i]
		hop := slices.Index([]string{explain.StepHop1, explain.StepHop2}, arrow.Step) + 1
		switch {
		case hop == 0:
		case r.State == Working, r.State == Failing && hop < r.FailedHop:
			arrow.Tried = explain.Allowed
		case r.State == Failing && hop == r.FailedHop:
			arrow.Tried, arrow.TriedText = explain.Refused, r.StateReason
		}
	}
}

func tags(all []identity.Tag) []Tag {
	var out []Tag
	for _, t := range all {
		out = append(out, Tag(t))
	}
	return out
}

// policies answers with the policies that an association's roles need.
func (c *Console) policies(k *call) (any, error) {
	if err := queryOf(k.Request).done(); err != nil {
		return nil, err
	}
	r, err := c.named(k)
	if err != nil {
		return nil, err
	}
	return c.policiesOf(r.Association)
}

func (c *Console) policiesOf(a identity.Association) (*Policies, error) {
	out := &Policies{Forms: []PolicyForm{}}
	if c.config.FirstHopUnknown {
		out.Unavailable = "podid's own IAM identity, which the Pod Identity role has to trust, is not told here. In a cluster the chart's aws.identityARN tells it. podid policies --first-hop-as ARN prints the policies."
		return out, nil
	}
	forms := []rolepolicy.Form{rolepolicy.Tags, rolepolicy.ExternalID}
	names := map[rolepolicy.Form]string{rolepolicy.Tags: "tags", rolepolicy.ExternalID: "external-id"}
	recommended := rolepolicy.Tags
	switch {
	case a.TargetRoleARN == "": // nothing to tell apart by
		forms = forms[:1]
		if a.DisableSessionTags {
			forms[0] = rolepolicy.ExternalID
		}
	case a.DisableSessionTags:
		forms = forms[1:]
	}
	if a.DisableSessionTags {
		recommended = rolepolicy.ExternalID
	}
	for _, form := range forms {
		all, err := rolepolicy.For(rolepolicy.Config{Association: a, Form: form, FirstHopAs: c.config.FirstHopAs})
		if err != nil {
			return nil, err
		}
		f := PolicyForm{Form: names[form], Recommended: form == recommended, Policies: all}
		for _, print := range []struct {
			to       *string
			existing bool
			as       func(io.Writer, []rolepolicy.Policy, rolepolicy.Target) error
		}{
			{&f.Terraform, false, rolepolicy.Terraform}, {&f.TerraformExisting, true, rolepolicy.Terraform},
			{&f.Commands, false, rolepolicy.Commands}, {&f.CommandsExisting, true, rolepolicy.Commands},
		} {
			var text bytes.Buffer
			if err := print.as(&text, all, rolepolicy.Target{Region: a.Cluster.Region, Existing: print.existing}); err != nil {
				return nil, err
			}
			*print.to = text.String()
		}
		out.Forms = append(out.Forms, f)
	}
	return out, nil
}
