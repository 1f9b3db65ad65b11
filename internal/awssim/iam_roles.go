package awssim

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/policy"
)

const (
	minMaxSession = 3600
	maxMaxSession = 43200
)

// trust reads a trust policy, whose quota is that of the account
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
func (x *iamCall) trust(parameter string) (document, error) {
	text := x.form.Get(parameter)
	if policy.Size(text) > policy.TrustQuota {
		return document{}, limitExceeded("Cannot exceed quota for ACLSizePerRole: %d", policy.TrustQuota)
	}
	return x.sim.state.bind(policy.Trust, text)
}

// roleSettings reads what CreateRole and UpdateRole may set; nil is not sent.
func (x *iamCall) roleSettings(r *role) error {
	var in struct {
		Description        *string
		MaxSessionDuration *int32
	}
	if err := awswire.DecodeForm(x.form, &in); err != nil {
		return err
	}
	if in.Description != nil {
		if utf8.RuneCountInString(*in.Description) > 1000 || !iamDescription.MatchString(*in.Description) {
			return validationError("The specified value for description is invalid: it has at most 1000 printable characters.")
		}
		r.Description = *in.Description
	}
	if in.MaxSessionDuration != nil {
		if *in.MaxSessionDuration < minMaxSession || *in.MaxSessionDuration > maxMaxSession {
			return validationError("1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must be between %d and %d",
				*in.MaxSessionDuration, minMaxSession, maxMaxSession)
		}
		r.MaxSession = time.Duration(*in.MaxSessionDuration) * time.Second
	}
	return nil
}

func (x *iamCall) createRole() (any, error) {
	var made *role
	err := x.sim.state.update(func(t *tx) error {
		p, err := x.newPrincipal("Role", prefixRole)
		if err != nil {
			return err
		}
		if x.sim.state.roleTaken(x.account, p.Name) {
			return alreadyExists("Role with name %s already exists.", p.Name)
		}
		made = &role{principal: p, MaxSession: time.Hour}
		if err := x.roleSettings(made); err != nil {
			return err
		}
		if made.Trust, err = x.trust("AssumeRolePolicyDocument"); err != nil {
			return err
		}
		t.put(made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &roleResult{x.wireRole(made, true)}, nil
}

// existingRole finds a role and judges the call on it.
func (x *iamCall) existingRole() (*role, error) {
	h, err := x.holder("Role")
	if err != nil {
		return nil, err
	}
	if err := x.ask(h, nil); err != nil {
		return nil, err
	}
	r, ok := x.sim.state.role(x.account, h.p.Name)
	if !ok {
		return nil, noSuchEntity("The role with name %s cannot be found.", h.p.Name)
	}
	return r, nil
}

func (x *iamCall) getRole() (any, error) {
	r, err := x.existingRole()
	if err != nil {
		return nil, err
	}
	return &roleResult{x.wireRole(r, true)}, nil
}

func (x *iamCall) listRoles() (any, error) {
	if err := x.may(iamARN(x.account, "role", "/", ""), nil, nil); err != nil {
		return nil, err
	}
	var roles []*role
	for _, r := range x.sim.state.rolesOf(x.account) {
		if strings.HasPrefix(r.Path, x.form.Get("PathPrefix")) {
			roles = append(roles, r)
		}
	}
	roles, p, err := page(x, roles, func(r *role) string { return r.Name })
	out := &rolesResult{paging: p}
	for _, r := range roles {
		out.Roles = append(out.Roles, x.wireRole(r, false))
	}
	return out, err
}

func (x *iamCall) deleteRole() (any, error) {
	return nil, x.sim.state.update(func(t *tx) error {
		r, err := x.existingRole()
		if err != nil {
			return err
		}
		if err := (&holder{p: r.principal}).empty(); err != nil {
			return err
		}
		t.delete(r)
		return nil
	})
}

// changeRole finds, asks, changes and stores a role.
func (x *iamCall) changeRole(change func(*role) error) (changed *role, err error) {
	err = x.sim.state.update(func(t *tx) error {
		r, err := x.existingRole()
		if err != nil {
			return err
		}
		c := *r
		changed = &c
		if err := change(changed); err != nil {
			return err
		}
		t.put(changed)
		return nil
	})
	return changed, err
}

// updateRole serves UpdateRoleDescription too, which returns the role.
func (x *iamCall) updateRole() (any, error) {
	changed, err := x.changeRole(x.roleSettings)
	if err != nil || x.action == "UpdateRole" {
		return struct{}{}, err
	}
	return &roleResult{x.wireRole(changed, false)}, nil
}

func (x *iamCall) updateAssumeRolePolicy() (any, error) {
	_, err := x.changeRole(func(r *role) (err error) {
		r.Trust, err = x.trust("PolicyDocument")
		return err
	})
	return nil, err
}

func (x *iamCall) wireRole(r *role, whole bool) wireRole {
	out := wireRole{
		Path: r.Path, RoleName: r.Name, RoleID: r.ID, ARN: r.ARN(), CreateDate: awswire.ISOTime(r.Created),
		AssumeRolePolicyDocument: escaped(x.sim.state.shown(r.Trust)), Description: r.Description,
		MaxSessionDuration: int(r.MaxSession / time.Second),
	}
	if whole {
		out.PermissionsBoundary, out.Tags = wireBoundaryOf(r.Boundary), wireTags(r.Tags)
	}
	return out
}

func (x *iamCall) getLoginProfile() (any, error) {
	h, err := x.holder("User")
	if err != nil {
		return nil, err
	}
	if err := x.ask(h, nil); err != nil {
		return nil, err
	}
	return nil, iamFailure(http.StatusNotFound, "NoSuchEntity", "Login Profile for User %s cannot be found.", h.p.Name)
}
