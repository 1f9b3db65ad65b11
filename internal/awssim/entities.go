package awssim

import (
	"fmt"
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// The entities of the state. Once an entity is in the state nobody changes it:
// who wants a change makes a shallow copy, replaces (never edits) the maps and
// slices that differ, and puts the copy.
//
// They are stored as JSON as they stand; secrets and parsed documents have
// their own way (storedKey, document).

// document is a policy as it was written, and what it means.
type document struct {
	Text   string
	IDs    map[string]string `json:",omitempty"` // unique ids of the users and roles that are principals, by ARN: see bind
	parsed *policy.Document
}

// parseDocument reads a policy. Its error is policy's *SyntaxError.
func parseDocument(t policy.Type, text string) (document, error) {
	d := document{Text: text}
	return d, d.compile(t)
}

func (d *document) compile(t policy.Type) error {
	parsed, err := policy.Parse(t, d.Text)
	if err == nil && (t == policy.Trust || t == policy.Resource) {
		parsed = parsed.Bind(d.IDs)
	}
	d.parsed = parsed
	return err
}

// account is one AWS account.
type account struct {
	ID   string
	Name string
}

// principal is what users and roles have in common.
type principal struct {
	AccountID string
	Name      string
	Path      string // begins and ends with "/"
	ID        string // AIDA... or AROA...
	Created   time.Time
	Inline    map[string]document
	Attached  []string // ARNs of managed policies, in the order of attachment
	Boundary  string   // ARN of a managed policy, or ""
	Tags      []identity.Tag
}

type user struct {
	principal
	Keys []accessKey
}

func (u *user) ARN() string { return iamARN(u.AccountID, "user", u.Path, u.Name) }

// accessKey is a long-term key of a user.
type accessKey struct {
	ID       string
	Secret   identity.Secret
	Inactive bool
	Created  time.Time
}

type role struct {
	principal
	Description string
	Trust       document
	MaxSession  time.Duration
}

func (r *role) ARN() string { return iamARN(r.AccountID, "role", r.Path, r.Name) }

// managedPolicy is a managed policy; those of AWS have AccountID "aws".
type managedPolicy struct {
	AccountID   string
	Name        string
	Path        string
	ID          string // ANPA...
	Description string
	Created     time.Time
	Updated     time.Time
	Versions    []policyVersion // oldest first, at most 5
	Default     string          // "v1"
	LastVersion int             // the number of the newest version ever made
	Tags        []identity.Tag
}

func (p *managedPolicy) ARN() string { return iamARN(p.AccountID, "policy", p.Path, p.Name) }

// document returns the default version's.
func (p *managedPolicy) document() document {
	for _, v := range p.Versions {
		if v.ID == p.Default {
			return v.Document
		}
	}
	return document{}
}

type policyVersion struct {
	ID       string // "v1"
	Document document
	Created  time.Time
}

// oidcProvider is an issuer that an account trusts.
type oidcProvider struct {
	AccountID   string
	URL         string // without the scheme, as IAM returns it
	ClientIDs   []string
	Thumbprints []string
	Tags        []identity.Tag
	Created     time.Time
}

func (p *oidcProvider) ARN() string { return iamARN(p.AccountID, "oidc-provider", "/", p.URL) }

// bucket is an S3 bucket without its objects, which S3 keeps itself.
type bucket struct {
	AccountID string // the owner
	Name      string
	Region    string
	Created   time.Time
	Policy    *document // nil: none
}

func (b *bucket) ARN() string { return "arn:aws:s3:::" + b.Name }

func iamARN(account, kind, path, name string) string {
	return "arn:aws:iam::" + account + ":" + kind + path + name
}

// entity is what the state holds and the storage keeps.
type entity interface {
	id() (kind, key string)
	compile() error // parses the entity's documents, after it was read from storage
	stored() any    // what is stored as JSON
}

func (a *account) id() (string, string) { return "account", a.ID }
func (u *user) id() (string, string)    { return "user", u.AccountID + "/" + strings.ToLower(u.Name) }
func (r *role) id() (string, string)    { return "role", r.AccountID + "/" + strings.ToLower(r.Name) }
func (p *managedPolicy) id() (string, string) {
	return "policy", p.AccountID + "/" + strings.ToLower(p.Name)
}
func (p *oidcProvider) id() (string, string) { return "provider", p.AccountID + "/" + p.URL }
func (b *bucket) id() (string, string)       { return "bucket", b.Name }

func (a *account) compile() error      { return nil }
func (u *user) compile() error         { return u.principal.compile() }
func (p *oidcProvider) compile() error { return nil }

func (r *role) compile() error {
	if err := r.Trust.compile(policy.Trust); err != nil {
		return fmt.Errorf("trust policy of %s: %w", r.ARN(), err)
	}
	return r.principal.compile()
}

func (p *principal) compile() error {
	for name, d := range p.Inline {
		if err := d.compile(policy.Identity); err != nil {
			return fmt.Errorf("inline policy %s of %s: %w", name, p.Name, err)
		}
		p.Inline[name] = d
	}
	return nil
}

func (p *managedPolicy) compile() error {
	for i := range p.Versions {
		if err := p.Versions[i].Document.compile(policy.Identity); err != nil {
			return fmt.Errorf("policy %s: %w", p.ARN(), err)
		}
	}
	return nil
}

func (b *bucket) compile() error {
	if b.Policy == nil {
		return nil
	}
	if err := b.Policy.compile(policy.Resource); err != nil {
		return fmt.Errorf("policy of bucket %s: %w", b.Name, err)
	}
	return nil
}

func (a *account) stored() any       { return a }
func (r *role) stored() any          { return r }
func (p *managedPolicy) stored() any { return p }
func (p *oidcProvider) stored() any  { return p }
func (b *bucket) stored() any        { return b }

// storedUser is a user with its secrets in the clear: SigV4 needs the secret
// itself, so a hash would not do. The storage's file is readable by its owner
// alone.
type storedUser struct {
	*user
	Secrets map[string]string // access key id -> secret
}

func (u *user) stored() any {
	s := storedUser{user: u, Secrets: map[string]string{}}
	for _, k := range u.Keys {
		s.Secrets[k.ID] = k.Secret.Reveal()
	}
	return s
}
