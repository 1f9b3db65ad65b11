package console

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// asked makes what a user asks for into an association. What it lacks or breaks,
// the rules say.
func (c *Console) asked(in AssociationInput) (identity.Association, error) {
	a := identity.Association{
		Cluster: c.config.Clusters[0], Namespace: strings.TrimSpace(in.Namespace), ServiceAccount: strings.TrimSpace(in.ServiceAccount),
		RoleARN: strings.TrimSpace(in.RoleARN), TargetRoleARN: strings.TrimSpace(in.TargetRoleARN),
		DisableSessionTags: in.DisableSessionTags, Policy: in.Policy, Tags: in.Tags,
	}
	if in.Cluster == "" {
		return a, nil
	}
	for _, cluster := range c.config.Clusters {
		if cluster.Name == in.Cluster {
			a.Cluster = cluster
			return a, nil
		}
	}
	return a, identity.Errorf(identity.InvalidParameter, "cluster %.100q is none of this console's.", in.Cluster)
}

// edited is what an update makes of an association.
func (c *Console) edited(before Record, in AssociationInput) (identity.Association, error) {
	switch {
	case in.Namespace != before.Namespace || in.ServiceAccount != before.ServiceAccount || in.Cluster != "" && in.Cluster != before.Cluster.Name:
		return before.Association, identity.Errorf(identity.InvalidParameter,
			"serviceAccount cannot change: an association is of %s/%s for good. Delete it, and create one for the other service account.", before.Namespace, before.ServiceAccount)
	case in.Version == "":
		return before.Association, identity.Errorf(identity.InvalidRequest, "version is missing: that of the association which was edited.")
	case in.Version != versionOf(before):
		return before.Association, errChanged()
	}
	a := before.Association
	a.RoleARN, a.TargetRoleARN = strings.TrimSpace(in.RoleARN), strings.TrimSpace(in.TargetRoleARN)
	a.DisableSessionTags, a.Policy, a.Tags = in.DisableSessionTags, in.Policy, in.Tags
	return a, nil
}

func errChanged() error {
	return identity.Errorf(identity.InUse, "The association was changed by somebody else meanwhile. Load it again, and look at what is different.")
}

func (c *Console) create(k *call) (any, error) {
	if c.config.ReadOnly {
		return nil, errReadOnly
	}
	var in AssociationInput
	if err := k.decode(&in); err != nil {
		return nil, err
	}
	a, err := c.asked(in)
	if err != nil {
		return nil, err
	}
	var saved Saved
	err = c.audited(k, audit.CreatePodIdentityAssociation, nil, &a, func(ctx context.Context, dryRun bool) (err error) {
		saved, err = k.user.Create(ctx, a, dryRun)
		return err
	})
	if err != nil {
		return nil, err
	}
	k.status = http.StatusCreated
	return c.shown(k.Context(), saved.Association), nil
}

func (c *Console) update(k *call) (any, error) {
	if c.config.ReadOnly {
		return nil, errReadOnly
	}
	before, err := c.named(k)
	if err != nil {
		return nil, err
	}
	var in AssociationInput
	if err := k.decode(&in); err != nil {
		return nil, err
	}
	a, err := c.edited(before, in)
	if err != nil {
		return nil, err
	}
	var saved Saved
	err = c.audited(k, audit.UpdatePodIdentityAssociation, &before.Association, &a, func(ctx context.Context, dryRun bool) (err error) {
		saved, err = k.user.Update(ctx, before, a, dryRun)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.shown(k.Context(), saved.Association), nil
}

func (c *Console) remove(k *call) (any, error) {
	if c.config.ReadOnly {
		return nil, errReadOnly
	}
	q := queryOf(k.Request)
	version := q.one("version")
	if err := q.done(); err != nil {
		return nil, err
	}
	before, err := c.named(k)
	if err != nil {
		return nil, err
	}
	if version != "" && version != versionOf(before) {
		return nil, errChanged()
	}
	err = c.audited(k, audit.DeletePodIdentityAssociation, &before.Association, nil, func(ctx context.Context, dryRun bool) error {
		return k.user.Delete(ctx, before, dryRun)
	})
	if err != nil {
		return nil, err
	}
	c.settled(k.Context(), func() bool { _, there := c.config.Index.Get(before.ID); return !there })
	return row(before), nil
}

// settleTime is how long an answer waits for the index to show what it tells of.
const settleTime = 2 * time.Second

// settled waits until the index shows what was done, so that the next page the
// user loads does too. It is only told by whoever keeps the associations: what
// were put in here could have been deleted since.
func (c *Console) settled(ctx context.Context, shows func() bool) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !shows() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// shown is the row of an association that was just saved.
func (c *Console) shown(ctx context.Context, a identity.Association) Association {
	want := versionOf(Record{Association: a})
	c.settled(ctx, func() bool {
		r, ok := c.config.Index.Get(a.ID)
		return ok && versionOf(r) == want
	})
	r := Record{Association: a, State: Unknown}
	if now, ok := c.config.Index.Get(a.ID); ok {
		r = now
	}
	c.verify.look(r)
	return row(r)
}

// audited makes a change, and keeps an event of it. Whether it would be refused is
// asked first, where that can be asked, so that the event says so.
func (c *Console) audited(k *call, name string, before, after *identity.Association, change func(ctx context.Context, dryRun bool) error) error {
	address, _, _ := net.SplitHostPort(k.RemoteAddr) // "" where there is no port
	ctx := audit.WithOrigin(k.Context(), audit.Origin{EventSource: audit.SourceConsole, RequestID: k.id, SourceIPAddress: address})
	about := cmp.Or(before, after)
	d := c.config.Audit.Decide(ctx, caller{k.user}, c.config.Now(), name, about.Cluster.Name)
	err := func() error {
		if after != nil {
			if err := c.config.Rules.Validate(*after); err != nil {
				return err
			}
		}
		d.Changes(before, after)
		if err := change(ctx, true); err != nil {
			return err
		}
		if err := d.Admit(ctx); err != nil {
			return err
		}
		return change(ctx, false)
	}()
	return d.End(ctx, err)
}

// caller is a user as audit events name them. Nothing is authorized by it.
type caller struct{ user User }

func (c caller) ARN() string              { return c.user.ARN() }
func (caller) AccountID() string          { return "" }
func (c caller) User() (string, []string) { return c.user.Name(), c.user.Groups() }
func (c caller) Authorize(context.Context, identity.Access) error {
	return identity.Errorf(identity.AccessDenied, "The console authorizes nothing itself.")
}
