package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
)

// preflight explains an association before it is made or changed.
type preflight struct {
	wanted, force bool
	explaining
}

func (p *preflight) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&p.wanted, "explain", false, "first explain whether pods will get credentials, and stop if they will not")
	f.BoolVar(&p.force, "force", false, "with --explain: go on all the same")
	f.StringToStringVar(&p.profiles, "profile", nil, "with --explain: profile to read an account with: ACCOUNT=PROFILE, may be repeated")
	f.StringVar(&p.firstHopAs, "first-hop-as", "", "with --explain: ARN of the IAM user or role that podid works with, off EKS")
}

// check explains a, which is to be at the place, if that is wanted: on standard
// error, as standard output is for the association. Its error says that nothing
// was done.
func (p *preflight) check(cmd *cobra.Command, t target, where place, a identity.Association) error {
	if !p.wanted {
		return nil
	}
	// The Pod Identity role is of the cluster's account, or will be refused.
	if role, err := identity.ParseRoleARN(a.RoleARN); err == nil && a.Cluster.AccountID == "" {
		a.Cluster.AccountID = role.AccountID
	}
	p.target, p.question.Association = t, &a
	report, err := p.run(cmd, where)
	if err != nil {
		return err
	}
	if err := explain.Print(cmd.ErrOrStderr(), report, styleOf(cmd.ErrOrStderr())); err != nil {
		return err
	}
	if report.Verdict == explain.Refused && !p.force {
		return errors.New("nothing was changed, as pods would be refused: mend what is said above, or add --force")
	}
	return nil
}
