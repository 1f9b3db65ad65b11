package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// mend finds for every refused step the changes that mend it. It makes them in
// the documents that were read, and has the same judge say whether they do.
func (w *walk) mend(ctx context.Context, a identity.Association, stages []*stage) {
	var fixes []Fix
	if changed, fix, ok := w.sendTags(ctx, a, stages); ok {
		stages, fixes = w.stages(ctx, changed), []Fix{fix}
	}
	for _, s := range stages {
		fixes = append(fixes, w.mendStage(ctx, s)...)
		for i := range w.report.Steps {
			// With tags sent, an earlier hop may need a change too: it is told with
			// the hop that needs the tags.
			if step := &w.report.Steps[i]; step.Name == s.name && step.Verdict == Refused {
				step.Fixes, fixes = fixes, nil
			}
		}
	}
}

// sendTags turns session tags on, where their absence alone is what a trust
// policy objects to. A session policy rules them out
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreatePodIdentityAssociation.html).
func (w *walk) sendTags(ctx context.Context, a identity.Association, stages []*stage) (identity.Association, Fix, bool) {
	if !a.DisableSessionTags || a.Policy != "" || !slices.ContainsFunc(stages, lacksTags) {
		return a, Fix{}, false
	}
	a.DisableSessionTags = false
	if slices.ContainsFunc(w.stages(ctx, a), func(s *stage) bool { return s.refusedBy("trust policy") || s.refusedBy("explicit deny") }) {
		return a, Fix{}, false
	}
	return a, Fix{
		Text: "send the session tags that the trust policy asks for", Account: a.Cluster.AccountID,
		Document: "association " + a.ID,
		Diff:     unified("association "+a.ID, []string{"disableSessionTags: true"}, []string{"disableSessionTags: false"}),
		Commands: updateAssociation(w.reader.cli(ctx, a.Cluster.AccountID), a, "--no-disable-session-tags"),
	}, true
}

// lacksTags tells whether the nearest statement of a trust policy misses
// nothing but tags.
func lacksTags(s *stage) bool {
	if !s.refusedBy("trust policy") {
		return false
	}
	near := nearest(s.asks[0].judge().decision.Reasons, policy.Trust)
	if len(near) == 0 {
		return false
	}
	return !slices.ContainsFunc(near[0].Misses, func(m policy.Miss) bool {
		key := strings.ToLower(m.Key)
		return !m.Absent || !strings.HasPrefix(key, "aws:requesttag/") && !strings.HasPrefix(key, "aws:principaltag/") && key != "aws:tagkeys"
	})
}

// refusedBy tells whether the first refusal of the stage is of that kind.
func (s *stage) refusedBy(kind string) bool {
	for _, a := range s.asks {
		if out := a.judge(); out.verdict == Refused {
			return out.decision.Stage == kind
		}
	}
	return false
}

// maxChanges bounds the changes that one permission may need.
const maxChanges = 12

// change is one change that was made of a document.
type change struct {
	document *document
	why      string
}

// mendStage changes documents until the judge allows everything that s asks.
func (w *walk) mendStage(ctx context.Context, s *stage) []Fix {
	before := map[*document][]string{}
	var changes []change
	var stuck []string
	for _, a := range s.asks {
		for _, d := range a.documents() {
			if _, ok := before[d]; !ok {
				before[d] = d.lines()
			}
		}
		for range maxChanges {
			out := a.judge()
			if out.verdict != Refused {
				break
			}
			c, ok := s.improve(a, out.decision)
			if !ok {
				stuck = append(stuck, a.request.Action)
				break
			}
			changes = append(changes, c)
		}
	}
	fixes := w.fixes(ctx, before, changes)
	if len(stuck) > 0 {
		fixes = append(fixes, Fix{Text: "podid knows no small and safe change that allows " + strings.Join(stuck, " and ") + ": see the statements above"})
	}
	return fixes
}

// fixes makes one fix of all changes of one document.
func (w *walk) fixes(ctx context.Context, before map[*document][]string, changes []change) []Fix {
	var fixes []Fix
	for i, c := range changes {
		d := c.document
		if slices.ContainsFunc(changes[:i], func(earlier change) bool { return earlier.document == d }) {
			continue
		}
		var why []string
		for _, other := range changes[i:] {
			if other.document == d && !slices.Contains(why, other.why) {
				why = append(why, other.why)
			}
		}
		account := d.place.account()
		fix := Fix{
			Text: strings.Join(why, "; "), Account: account, Owner: d.place.owner(), Document: d.name,
			Diff: unified(d.name, before[d], d.lines()), Commands: d.place.commands(w.reader.cli(ctx, account), d.text),
		}
		if size := policy.Size(d.text); d.kind == policy.Trust && size > policy.TrustQuota {
			fix.Text += fmt.Sprintf("; the policy then has %d characters, and IAM's quota is %d unless it was raised", size, policy.TrustQuota)
		}
		fixes = append(fixes, fix)
	}
	return fixes
}

// improve makes the smallest change that brings a refused ask one step further.
func (s *stage) improve(a *ask, d *policy.Decision) (change, bool) {
	if d.Verdict == policy.ExplicitDeny {
		for _, r := range denying(d.Reasons) {
			return s.narrow(a, r)
		}
	}
	switch d.Stage {
	case "trust policy":
		return s.trust(a, d)
	case "identity policy":
		return s.permit(a, d, policy.Identity, a.identity)
	case "permissions boundary":
		return s.permit(a, d, policy.Boundary, a.boundary)
	case "session policy":
		return s.permit(a, d, policy.Session, a.session)
	case "SCP":
		return s.permitAbove(a, d)
	case "resource policy":
		return s.permitAtResource(a)
	}
	return change{}, false
}

// set gives d the statements of parts, if that is a policy.
func (d *document) set(parts *draft) bool {
	text := parts.String()
	if _, err := policy.Parse(d.kind, text); err != nil {
		return false
	}
	d.text = text
	return true
}

// edit changes one statement of d.
func (d *document) edit(index int, with func(*policy.Statement)) bool {
	parts, err := d.draft()
	if err != nil || index >= len(parts.statements) {
		return false
	}
	with(&parts.statements[index])
	return d.set(parts)
}

// add adds a statement to d.
func (d *document) add(s policy.Statement) bool {
	parts, err := d.draft()
	if err != nil {
		return false
	}
	parts.statements = append(parts.statements, s)
	return d.set(parts)
}

// needed are all actions that the stage asks for, so that one statement allows
// what belongs together.
func (s *stage) needed() []string {
	var actions []string
	for _, a := range s.asks {
		actions = append(actions, a.request.Action)
	}
	return actions
}
