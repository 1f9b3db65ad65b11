package awssim

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// Caller is who makes one request, and the circumstances under which. It lives
// as long as the request. It is an identity.Caller.
type Caller struct {
	sim       *Sim
	principal policy.Principal

	user    *user       // principal.Kind User
	role    *role       // RoleSession
	session *session    // RoleSession
	service *ServiceKey // Service

	accessKeyID string // "" where the request is not signed
	request     request
}

// request is what a request says about itself, whoever made it.
type request struct {
	id        string
	at        time.Time
	region    string // of the signature
	sourceIP  string
	tls       bool
	userAgent string
	referer   string
	// sourceArn and sourceAccount come from signed headers of service principals alone.
	sourceArn, sourceAccount string
}

type callerKey struct{}

// CallerFrom returns who made the request that ctx belongs to. It is there in
// every request that Config.Handlers get.
func CallerFrom(ctx context.Context) (*Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(*Caller)
	return c, ok
}

// AccessKeyID returns the id of the key that signed the request; "": none did.
func (c *Caller) AccessKeyID() string { return c.accessKeyID }

// ARN returns the ARN of the user or of the role session. Service principals
// have none; they go by their name.
func (c *Caller) ARN() string {
	if c.principal.Kind == policy.Service {
		return c.principal.Service
	}
	return c.principal.ARN
}

// name is who the caller is in texts.
func (c *Caller) name() string {
	switch c.principal.Kind {
	case policy.Anonymous:
		return "anonymous"
	case policy.WebIdentity:
		return "web identity of " + c.principal.Provider
	}
	return c.ARN()
}

// AccountID returns the account of the caller; empty for services and anonymous.
func (c *Caller) AccountID() string { return c.principal.AccountID }

// userID is aws:userid
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable).
func (c *Caller) userID() string {
	switch c.principal.Kind {
	case policy.User:
		return c.principal.UniqueID
	case policy.RoleSession:
		return c.principal.UniqueID + ":" + c.session.Name
	case policy.Root:
		return c.principal.AccountID
	case policy.Anonymous:
		return "anonymous"
	}
	return ""
}

// principalTypes are the values of aws:PrincipalType.
var principalTypes = map[policy.PrincipalKind]string{
	policy.Anonymous: "Anonymous", policy.Root: "Account", policy.User: "User", policy.RoleSession: "AssumedRole",
}

// context returns the global condition keys of a request of this caller
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html).
// A key that AWS leaves out is not there.
func (c *Caller) context() policy.Context {
	k := policy.Context{}
	set := func(key, value string) {
		if value != "" {
			k.Set(key, value)
		}
	}
	at := c.request.at.UTC()
	set("aws:CurrentTime", at.Format(time.RFC3339))
	set("aws:EpochTime", strconv.FormatInt(at.Unix(), 10))
	set("aws:SecureTransport", strconv.FormatBool(c.request.tls))
	set("aws:RequestedRegion", c.request.region)
	set("aws:UserAgent", c.request.userAgent)
	set("aws:Referer", c.request.referer)
	set("aws:ViaAWSService", "false")
	set("aws:PrincipalIsAWSService", strconv.FormatBool(c.principal.Kind == policy.Service))
	set("aws:PrincipalType", principalTypes[c.principal.Kind])
	set("aws:userid", c.userID())
	set("aws:PrincipalAccount", c.principal.AccountID)
	org := c.sim.state.organization()
	id, _ := org.of(c.principal.AccountID)
	set("aws:PrincipalOrgID", id)
	if c.principal.Kind != policy.Service {
		set("aws:SourceIp", c.request.sourceIP)
	}

	switch c.principal.Kind {
	case policy.User:
		set("aws:PrincipalArn", c.principal.ARN)
		set("aws:username", c.user.Name)
		setTags(k, "aws:PrincipalTag/", c.user.Tags)
	case policy.RoleSession:
		set("aws:PrincipalArn", c.principal.RoleARN)
		set("aws:TokenIssueTime", c.session.Issued.UTC().Format(time.RFC3339))
		// The key is there for temporary credentials alone, and no session of
		// this AWS begins with a second factor.
		set("aws:MultiFactorAuthPresent", "false")
		set("aws:SourceIdentity", c.session.SourceIdentity)
		set("aws:FederatedProvider", c.session.Provider)
		for key, value := range c.session.WebIdentity {
			set(key, value)
		}
		setTags(k, "aws:PrincipalTag/", c.role.Tags)
		setTags(k, "aws:PrincipalTag/", c.session.Tags) // a session's tag beats its role's
	case policy.Service:
		set("aws:PrincipalServiceName", c.principal.Service)
		set("aws:PrincipalServiceNamesList", c.principal.Service)
		set("aws:SourceArn", c.request.sourceArn)
		set("aws:SourceAccount", c.request.sourceAccount)
		id, _ := org.of(c.request.sourceAccount)
		set("aws:SourceOrgID", id)
	}
	return k
}

func setTags(k policy.Context, prefix string, tags []identity.Tag) {
	for _, t := range tags {
		k.Set(prefix+t.Key, t.Value)
	}
}

// tagValue finds a tag by its key without regard to case, as IAM compares them.
func tagValue(tags []identity.Tag, key string) (string, bool) {
	for _, t := range tags {
		if strings.EqualFold(t.Key, key) {
			return t.Value, true
		}
	}
	return "", false
}
