package explain

import (
	"fmt"
	"strings"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/shell"
)

// place says where a document is kept. It is one of the types below.
type place interface {
	// account is where a change has to be made.
	account() string
	// owner says who can make it, where that is not whoever owns the role. "": they can.
	owner() string
	// commands change the document to text; nil where it cannot be changed.
	commands(cli cli, text string) []string
}

// cli writes commands of the AWS CLI for one account.
type cli struct {
	profile string
	// kubernetes: associations are changed by kubectl's plugin.
	kubernetes bool
}

func (c cli) aws(args ...string) string {
	words := []string{"aws"}
	for _, a := range args {
		words = append(words, shell.Word(a))
	}
	if c.profile != "" {
		words = append(words, "--profile", shell.Word(c.profile))
	}
	return strings.Join(words, " ")
}

// kubectl writes a command of podid as kubectl's plugin, about a service account.
func kubectl(noun, verb, namespace, serviceAccount string, more ...string) string {
	words := []string{"kubectl podid", noun, verb, "-n", shell.Word(namespace), "-s", shell.Word(serviceAccount)}
	for _, m := range more {
		if m == "--no-disable-session-tags" { // the AWS CLI's way to say no
			m = "--disable-session-tags=false"
		}
		words = append(words, shell.Word(m))
	}
	return strings.Join(words, " ")
}

// trustPlace is the trust policy of a role.
type trustPlace struct {
	role    identity.ARN
	missing bool // the role does not exist
}

func (p trustPlace) account() string { return p.role.AccountID }
func (p trustPlace) owner() string   { return "" }

func (p trustPlace) commands(c cli, text string) []string {
	if !p.missing {
		return []string{c.aws("iam", "update-assume-role-policy", "--role-name", p.role.RoleName(), "--policy-document", text)}
	}
	args := []string{"iam", "create-role", "--role-name", p.role.RoleName()}
	if path := rolePath(p.role); path != "/" {
		args = append(args, "--path", path)
	}
	return []string{c.aws(append(args, "--assume-role-policy-document", text)...)}
}

// rolePath is what stands between "role" and the name: "/" or "/team/".
func rolePath(role identity.ARN) string {
	return strings.TrimSuffix(strings.TrimPrefix(role.Resource, "role"), role.RoleName())
}

// nounOf is "role" or "user".
func nounOf(arn identity.ARN) string {
	noun, _, _ := strings.Cut(arn.Resource, "/")
	return noun
}

// inlinePlace is an inline policy of a role or user.
type inlinePlace struct {
	of     identity.ARN
	policy string
}

func (p inlinePlace) account() string { return p.of.AccountID }
func (p inlinePlace) owner() string   { return "" }

func (p inlinePlace) commands(c cli, text string) []string {
	noun := nounOf(p.of)
	return []string{c.aws("iam", "put-"+noun+"-policy", "--"+noun+"-name", p.of.RoleName(), "--policy-name", p.policy, "--policy-document", text)}
}

// managedPlace is a managed policy. Where it is AWS's own, it cannot be changed.
type managedPlace struct {
	arn      identity.ARN
	boundary bool
	// oldest is the version to delete first, where there is room for no other
	// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
	oldest string
}

func (p managedPlace) account() string { return p.arn.AccountID }

func (p managedPlace) owner() string {
	if p.boundary {
		return "whoever sets permissions boundaries in account " + p.arn.AccountID
	}
	return "whoever manages the policy " + p.arn.String() + ", which others may have too"
}

func (p managedPlace) commands(c cli, text string) []string {
	if p.arn.AccountID == "aws" {
		return nil
	}
	var all []string
	if p.oldest != "" {
		all = append(all, c.aws("iam", "delete-policy-version", "--policy-arn", p.arn.String(), "--version-id", p.oldest))
	}
	return append(all, c.aws("iam", "create-policy-version", "--policy-arn", p.arn.String(), "--set-as-default", "--policy-document", text))
}

// newBoundaryPlace is a boundary that takes the place of one that cannot be changed.
type newBoundaryPlace struct {
	of     identity.ARN // a role or user
	policy string
}

func (p newBoundaryPlace) account() string { return p.of.AccountID }
func (p newBoundaryPlace) owner() string {
	return "whoever sets permissions boundaries in account " + p.of.AccountID
}

func (p newBoundaryPlace) commands(c cli, text string) []string {
	arn := fmt.Sprintf("arn:%s:iam::%s:policy/%s", p.of.Partition, p.of.AccountID, p.policy)
	noun := nounOf(p.of)
	return []string{
		c.aws("iam", "create-policy", "--policy-name", p.policy, "--policy-document", text),
		c.aws("iam", "put-"+noun+"-permissions-boundary", "--"+noun+"-name", p.of.RoleName(), "--permissions-boundary", arn),
	}
}

// sessionPlace is the session policy of an association.
type sessionPlace struct{ association identity.Association }

func (p sessionPlace) account() string { return p.association.Cluster.AccountID }
func (p sessionPlace) owner() string   { return "" }

func (p sessionPlace) commands(c cli, text string) []string {
	return updateAssociation(c, p.association, "--policy", text)
}

// updateAssociation changes an association, if there is one.
func updateAssociation(c cli, a identity.Association, change ...string) []string {
	if a.ID == "" {
		return nil
	}
	if c.kubernetes {
		return []string{kubectl("association", "update", a.Namespace, a.ServiceAccount, change...)}
	}
	args := []string{"eks", "update-pod-identity-association", "--cluster-name", a.Cluster.Name, "--association-id", a.ID}
	return []string{c.aws(append(args, change...)...)}
}

// bucketPlace is the policy of a bucket.
type bucketPlace struct{ bucket, ownerAccount string }

func (p bucketPlace) account() string { return p.ownerAccount }
func (p bucketPlace) owner() string   { return "" }

func (p bucketPlace) commands(c cli, text string) []string {
	return []string{c.aws("s3api", "put-bucket-policy", "--bucket", p.bucket, "--policy", text)}
}

// organizationPlace is a service or resource control policy.
type organizationPlace struct {
	id         string // p-...
	management string // account
}

func (p organizationPlace) account() string { return p.management }
func (p organizationPlace) owner() string {
	return "the administrators of the organization, in its management account " + p.management
}

func (p organizationPlace) commands(c cli, text string) []string {
	if p.id == "p-FullAWSAccess" { // AWS's own
		return nil
	}
	return []string{c.aws("organizations", "update-policy", "--policy-id", p.id, "--content", text)}
}
