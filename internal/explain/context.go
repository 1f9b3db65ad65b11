package explain

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// circumstances is what is known of a request before it is made. A condition
// key is known, or known to be absent, or open.
type circumstances struct {
	known   policy.Context
	open    []string // exactly these keys
	absent  []string // global keys that such a request never has
	service string   // whose own keys are open; "": none
}

// newCircumstances begins with the global keys of every request
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html).
func newCircumstances(now time.Time, region string, tls bool) *circumstances {
	c := &circumstances{known: policy.Context{}, absent: []string{
		"aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast", "aws:ChatbotSourceArn", "aws:Ec2InstanceSourceVpc", "aws:Ec2InstanceSourcePrivateIPv4",
		"aws:FederatedProvider", "aws:MultiFactorAuthAge", "aws:SourceIdentity", "aws:username", "aws:TagKeys", "aws:AssumedRoot",
	}}
	at := now.UTC()
	c.known.Set("aws:CurrentTime", at.Format(time.RFC3339))
	c.known.Set("aws:EpochTime", strconv.FormatInt(at.Unix(), 10))
	c.known.Set("aws:SecureTransport", strconv.FormatBool(tls))
	c.known.Set("aws:RequestedRegion", region)
	c.known.Set("aws:ViaAWSService", "false")
	return c
}

// serviceCalls adds what is known where an AWS service makes the call for a cluster.
func (c *circumstances) serviceCalls(cluster identity.Cluster, org *membership) {
	c.known.Set("aws:PrincipalIsAWSService", "true")
	c.known.Set("aws:PrincipalServiceName", identity.ServicePrincipal)
	c.known.Set("aws:PrincipalServiceNamesList", identity.ServicePrincipal)
	c.known.Set("aws:SourceArn", cluster.ARN())
	c.known.Set("aws:SourceAccount", cluster.AccountID)
	c.organization("aws:SourceOrgID", org)
	c.absent = append(c.absent, "aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalType",
		"aws:userid", "aws:TokenIssueTime", "aws:MultiFactorAuthPresent", "aws:SourceIp")
}

// sessionCalls adds what is known where a role session makes the call. tags are
// those of the session alone.
func (c *circumstances) sessionCalls(r *role, sessionName string, tags []identity.Tag, org *membership) {
	c.known.Set("aws:PrincipalIsAWSService", "false")
	c.known.Set("aws:PrincipalArn", r.arn.String())
	c.known.Set("aws:PrincipalAccount", r.arn.AccountID)
	c.known.Set("aws:PrincipalType", "AssumedRole")
	if now, ok := c.known.Get("aws:CurrentTime"); ok {
		c.known.Set("aws:TokenIssueTime", now...)
	}
	c.known.Set("aws:MultiFactorAuthPresent", "false")
	if r.id != "" {
		c.known.Set("aws:userid", r.id+":"+sessionName)
	}
	c.tags("aws:PrincipalTag/", r.tags)
	c.tags("aws:PrincipalTag/", tags) // a session's tag beats its role's
	c.organization("aws:PrincipalOrgID", org)
	c.noService()
}

func (c *circumstances) userCalls(r *role, org *membership) {
	c.known.Set("aws:PrincipalIsAWSService", "false")
	c.known.Set("aws:PrincipalArn", r.arn.String())
	c.known.Set("aws:PrincipalAccount", r.arn.AccountID)
	c.known.Set("aws:PrincipalType", "User")
	c.known.Set("aws:username", r.arn.RoleName())
	c.known.Set("aws:userid", r.id)
	c.tags("aws:PrincipalTag/", r.tags)
	c.organization("aws:PrincipalOrgID", org)
	c.absent = append(c.absent, "aws:TokenIssueTime", "aws:MultiFactorAuthPresent")
	c.noService()
}

func (c *circumstances) noService() {
	c.absent = append(c.absent, "aws:PrincipalServiceName", "aws:PrincipalServiceNamesList",
		"aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID", "aws:SourceOrgPaths")
}

// organization sets a key to the organization's id, leaves it out where there
// is none, or open where that could not be seen.
func (c *circumstances) organization(key string, org *membership) {
	switch {
	case org.idUnseen:
		c.open = append(c.open, key)
	case org.orgID != "":
		c.known.Set(key, org.orgID)
	default:
		c.absent = append(c.absent, key)
	}
}

// tags sets a key for each tag. Tags of a pod that is not known are open.
func (c *circumstances) tags(prefix string, tags []identity.Tag) {
	for _, t := range tags {
		c.known.Set(prefix+t.Key, t.Value)
		if t.Value == anyPod {
			c.open = append(c.open, prefix+t.Key)
		}
	}
}

// anyPod stands for the name and the uid of a pod that is not known. No pod has
// such a name.
const anyPod = "(any pod)"

// isOpen tells whether a key's value is not known. Keys of AWS as a whole that
// are not spoken of above are taken for open, so that what is new to explain
// does not pass for absent.
func (c *circumstances) isOpen(key string) bool {
	same := func(other string) bool { return strings.EqualFold(key, other) }
	if slices.ContainsFunc(c.open, same) {
		return true
	}
	if c.isGiven(key) || slices.ContainsFunc(c.absent, same) {
		return false
	}
	lower := strings.ToLower(key)
	for _, prefix := range []string{"aws:requesttag/", "aws:principaltag/", "aws:resourcetag/"} {
		if strings.HasPrefix(lower, prefix) {
			return false
		}
	}
	vendor, _, _ := strings.Cut(lower, ":")
	return vendor == "aws" || c.service != "" && vendor == c.service
}

func (c *circumstances) isGiven(key string) bool {
	_, ok := c.known.Get(key)
	return ok
}
