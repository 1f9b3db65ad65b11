package explain

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"github.com/podid/podid/internal/policy"
)

// membership is what an organization says about one account.
type membership struct {
	orgID    string // "": it is in none, or that was not seen
	scp, rcp [][]*document
	unseen   string // why the organization's policies could not be read. "": they were
	idUnseen bool   // not even whether there is an organization
}

// organization reads the control policies that an account is under. Only the
// management account and its delegates may
// (https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListPoliciesForTarget.html).
func (r *reader) organization(ctx context.Context, account string) *membership {
	if found, ok := r.orgs[account]; ok {
		return found
	}
	m := &membership{}
	r.orgs[account] = m
	orgID, management, err := r.organizationOf(ctx, account)
	if err != nil {
		m.unseen, m.idUnseen = err.Error(), true
		return m
	}
	m.orgID = orgID
	if orgID == "" || management == account {
		return m // exempt (https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html)
	}
	for _, reader := range []string{account, management} { // the account itself may be a delegated administrator
		m.scp, m.rcp = nil, nil
		var access Access
		if access, err = r.account(ctx, reader); err == nil {
			err = r.controls(ctx, access.AWS, m, account, management)
		}
		if err == nil {
			return m
		}
	}
	m.scp, m.rcp = nil, nil
	m.unseen = fmt.Sprintf("as its management account %s: %v", management, err)
	return m
}

// organizationOf returns the organization that an account is in, "" for none.
// Where the account itself may not ask, another along the path may know the
// management account, and that tells whether both are in the same.
func (r *reader) organizationOf(ctx context.Context, account string) (id, management string, err error) {
	id, management, err = r.describe(ctx, account)
	if err == nil {
		return id, management, nil
	}
	for _, other := range r.accounts(account)[1:] {
		otherID, itsManagement, otherErr := r.describe(ctx, other)
		if otherErr != nil || otherID == "" {
			continue
		}
		access, otherErr := r.account(ctx, itsManagement)
		if otherErr != nil {
			continue
		}
		_, otherErr = organizations.NewFromConfig(access.AWS).ListParents(ctx, &organizations.ListParentsInput{ChildId: &account})
		if otherErr == nil {
			return otherID, itsManagement, nil
		}
	}
	return "", "", err
}

// describe asks as an account for its organization.
func (r *reader) describe(ctx context.Context, account string) (id, management string, err error) {
	access, err := r.account(ctx, account)
	if err != nil {
		return "", "", err
	}
	out, err := organizations.NewFromConfig(access.AWS).DescribeOrganization(ctx, &organizations.DescribeOrganizationInput{})
	if isCode(err, "AWSOrganizationsNotInUseException") {
		return "", "", nil
	}
	if err != nil {
		return "", "", answered(err)
	}
	return aws.ToString(out.Organization.Id), aws.ToString(out.Organization.MasterAccountId), nil
}

// maxLevels bounds the way up to the root: five units, the root and the account.
const maxLevels = 10

// controls reads the policies of an account, level by level from the root down.
func (r *reader) controls(ctx context.Context, c aws.Config, m *membership, account, management string) error {
	client := organizations.NewFromConfig(c)
	for target, root := account, false; ; {
		scp, err := r.control(ctx, client, target, policy.SCP, management)
		if err != nil {
			return err
		}
		rcp, err := r.control(ctx, client, target, policy.RCP, management)
		if err != nil {
			return err
		}
		m.scp, m.rcp = append(m.scp, scp), append(m.rcp, rcp)
		if root {
			break
		}
		parents, err := client.ListParents(ctx, &organizations.ListParentsInput{ChildId: &target})
		if err != nil {
			return answered(err)
		}
		if len(parents.Parents) != 1 || len(m.scp) == maxLevels {
			return fmt.Errorf("%s is in no place of the organization", target)
		}
		target, root = aws.ToString(parents.Parents[0].Id), parents.Parents[0].Type == types.ParentTypeRoot
	}
	slices.Reverse(m.scp)
	slices.Reverse(m.rcp)
	if len(m.scp) > 0 && len(m.scp[0]) == 0 {
		m.scp = nil // a root always has one while the type is enabled
	}
	return nil
}

// control reads the policies of one type that are attached to one target.
func (r *reader) control(ctx context.Context, client *organizations.Client, target string, t policy.Type, management string) ([]*document, error) {
	filter, kind := types.PolicyTypeServiceControlPolicy, "service control policy "
	if t == policy.RCP {
		filter, kind = types.PolicyTypeResourceControlPolicy, "resource control policy "
	}
	var all []*document
	pages := organizations.NewListPoliciesForTargetPaginator(client, &organizations.ListPoliciesForTargetInput{TargetId: &target, Filter: filter})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isCode(err, "PolicyTypeNotEnabledException") {
			return nil, nil
		}
		if err != nil {
			return nil, answered(err)
		}
		for _, p := range page.Policies {
			id := aws.ToString(p.Id)
			d, ok := r.documents[id]
			if !ok {
				got, err := client.DescribePolicy(ctx, &organizations.DescribePolicyInput{PolicyId: &id})
				if err != nil {
					return nil, answered(err)
				}
				d = &document{name: kind + aws.ToString(p.Name) + " (" + id + ")", kind: t, text: aws.ToString(got.Policy.Content), place: organizationPlace{id, management}}
				if _, err := d.parse(); err != nil {
					return nil, fmt.Errorf("%s: podid does not understand it: %w", d.name, err)
				}
				r.documents[id] = d
			}
			// AWS's own RCPFullAWSAccess allows everything; an RCP only ever denies.
			if t == policy.SCP || id != "p-RCPFullAWSAccess" {
				all = append(all, d)
			}
		}
	}
	return all, nil
}
