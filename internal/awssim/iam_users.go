package awssim

import (
	"slices"
	"strings"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/policy"
)

func (x *iamCall) createUser() (any, error) {
	var made *user
	err := x.sim.state.update(func(t *tx) error {
		p, err := x.newPrincipal("User", prefixUser)
		if err != nil {
			return err
		}
		if x.sim.state.userTaken(x.account, p.Name) {
			return alreadyExists("User with name %s already exists.", p.Name)
		}
		made = &user{principal: p}
		t.put(made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &userResult{wireUserOf(made, true)}, nil
}

// existingUser finds a user and judges the call on it. Without a name it is the
// caller's own, as far as the operation allows that.
func (x *iamCall) existingUser() (*user, error) {
	if x.form.Get("UserName") == "" && x.c.principal.Kind == policy.User {
		x.form.Set("UserName", x.c.user.Name)
	}
	h, err := x.holder("User")
	if err != nil {
		return nil, err
	}
	if err := x.ask(h, nil); err != nil {
		return nil, err
	}
	u, ok := x.sim.state.user(x.account, h.p.Name)
	if !ok {
		return nil, noSuchEntity("The user with name %s cannot be found.", h.p.Name)
	}
	return u, nil
}

func (x *iamCall) getUser() (any, error) {
	u, err := x.existingUser()
	if err != nil {
		return nil, err
	}
	return &userResult{wireUserOf(u, true)}, nil
}

func (x *iamCall) listUsers() (any, error) {
	if err := x.may(iamARN(x.account, "user", "/", ""), nil, nil); err != nil {
		return nil, err
	}
	var users []*user
	for _, u := range x.sim.state.usersOf(x.account) {
		if strings.HasPrefix(u.Path, x.form.Get("PathPrefix")) {
			users = append(users, u)
		}
	}
	users, p, err := page(x, users, func(u *user) string { return u.Name })
	out := &usersResult{paging: p}
	for _, u := range users {
		out.Users = append(out.Users, wireUserOf(u, false))
	}
	return out, err
}

func (x *iamCall) deleteUser() (any, error) {
	return nil, x.sim.state.update(func(t *tx) error {
		u, err := x.existingUser()
		if err != nil {
			return err
		}
		if len(u.Keys) > 0 {
			return deleteConflict("Cannot delete entity, must delete access keys first.")
		}
		if err := (&holder{p: u.principal}).empty(); err != nil {
			return err
		}
		t.delete(u)
		return nil
	})
}

// updateUser renames or moves a user, who stays the same by unique id.
func (x *iamCall) updateUser() (any, error) {
	return nil, x.sim.state.update(func(t *tx) error {
		u, err := x.existingUser()
		if err != nil {
			return err
		}
		c := *u
		if x.form.Has("NewUserName") {
			if c.Name, err = x.name("NewUserName", 64); err != nil {
				return err
			}
			if !strings.EqualFold(c.Name, u.Name) && x.sim.state.userTaken(x.account, c.Name) {
				return alreadyExists("User with name %s already exists.", c.Name)
			}
		}
		if path := x.form.Get("NewPath"); path != "" {
			if len(path) > 512 || !iamPathPattern.MatchString(path) {
				return validationError("The specified value for newPath is invalid. It must begin and end with /.")
			}
			c.Path = path
		}
		// The new name must be permitted as well as the old one.
		if err := x.may(c.ARN(), c.Tags, nil); err != nil {
			return err
		}
		t.delete(u)
		t.put(&c)
		return nil
	})
}

// changeKeys finds, asks, changes the keys of and stores a user.
func (x *iamCall) changeKeys(change func(*user) error) error {
	return x.sim.state.update(func(t *tx) error {
		u, err := x.existingUser()
		if err != nil {
			return err
		}
		c := *u
		c.Keys = slices.Clone(u.Keys)
		if err := change(&c); err != nil {
			return err
		}
		t.put(&c)
		return nil
	})
}

func (x *iamCall) createAccessKey() (any, error) {
	var out *newKeyResult
	err := x.changeKeys(func(u *user) error {
		if len(u.Keys) >= maxAccessKeys {
			return limitExceeded("Cannot exceed quota for AccessKeysPerUser: %d", maxAccessKeys)
		}
		k := accessKey{ID: newAccessKeyID(prefixLongTerm, x.account), Secret: newSecretKey(), Created: x.c.request.at.UTC()}
		u.Keys = append(u.Keys, k)
		// The one time that the secret is shown.
		out = &newKeyResult{wireNewKey{wireKeyOf(u.Name, k), k.Secret.Reveal()}}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (x *iamCall) listAccessKeys() (any, error) {
	u, err := x.existingUser()
	if err != nil {
		return nil, err
	}
	keys, p, err := page(x, u.Keys, func(k accessKey) string { return k.ID })
	out := &keysResult{paging: p}
	for _, k := range keys {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, wireKeyOf(u.Name, k))
	}
	return out, err
}

// keyIndex finds the key that the request names among those of u.
func (x *iamCall) keyIndex(u *user) (int, error) {
	id := x.form.Get("AccessKeyId")
	i := slices.IndexFunc(u.Keys, func(k accessKey) bool { return k.ID == id })
	if i < 0 {
		return 0, noSuchEntity("The Access Key with id %.128s cannot be found.", id)
	}
	return i, nil
}

func (x *iamCall) updateAccessKey() (any, error) {
	status := x.form.Get("Status")
	return nil, x.changeKeys(func(u *user) error {
		if status != "Active" && status != "Inactive" {
			return validationError("1 validation error detected: Value at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]")
		}
		i, err := x.keyIndex(u)
		if err == nil {
			u.Keys[i].Inactive = status == "Inactive"
		}
		return err
	})
}

func (x *iamCall) deleteAccessKey() (any, error) {
	return nil, x.changeKeys(func(u *user) error {
		i, err := x.keyIndex(u)
		if err == nil {
			u.Keys = slices.Delete(u.Keys, i, i+1)
		}
		return err
	})
}

// getAccessKeyLastUsed says N/A, as IAM does of keys never used: uses are not
// counted here.
func (x *iamCall) getAccessKeyLastUsed() (any, error) {
	u, _, ok := x.sim.state.userByKey(x.form.Get("AccessKeyId"))
	if !ok || u.AccountID != x.account {
		if err := x.may("*", nil, nil); err != nil {
			return nil, err
		}
		return nil, noSuchEntity("The Access Key with id %.128s cannot be found.", x.form.Get("AccessKeyId"))
	}
	if err := x.may(u.ARN(), u.Tags, nil); err != nil {
		return nil, err
	}
	return &lastUsedResult{UserName: u.Name, AccessKeyLastUsed: wireLastUsed{Region: "N/A", ServiceName: "N/A"}}, nil
}

func wireUserOf(u *user, whole bool) wireUser {
	out := wireUser{Path: u.Path, UserName: u.Name, UserID: u.ID, ARN: u.ARN(), CreateDate: awswire.ISOTime(u.Created)}
	if whole {
		out.PermissionsBoundary, out.Tags = wireBoundaryOf(u.Boundary), wireTags(u.Tags)
	}
	return out
}

func wireKeyOf(userName string, k accessKey) wireKey {
	status := "Active"
	if k.Inactive {
		status = "Inactive"
	}
	return wireKey{UserName: userName, AccessKeyID: k.ID, Status: status, CreateDate: awswire.ISOTime(k.Created)}
}
