package identity

import (
	"fmt"
	"regexp"
	"strings"
)

// ARN is an Amazon Resource Name:
// arn:partition:service:region:account-id:resource
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html).
type ARN struct {
	Partition, Service, Region, AccountID, Resource string
}

// maxARN is the longest ARN that IAM and STS take (their models: arnType, 20-2048).
const maxARN = 2048

// ParseARN splits s. It checks the shape only, not that the parts exist.
func ParseARN(s string) (ARN, error) {
	if len(s) > maxARN {
		return ARN{}, fmt.Errorf("an ARN has at most %d characters, this has %d", maxARN, len(s))
	}
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return ARN{}, fmt.Errorf("%q is not an ARN: want arn:partition:service:region:account:resource", s)
	}
	return ARN{Partition: parts[1], Service: parts[2], Region: parts[3], AccountID: parts[4], Resource: parts[5]}, nil
}

// String puts the parts together again; ParseARN(s).String() == s.
func (a ARN) String() string {
	return strings.Join([]string{"arn", a.Partition, a.Service, a.Region, a.AccountID, a.Resource}, ":")
}

var (
	accountIDPattern = regexp.MustCompile(`^[0-9]{12}$`)
	// IAM's model: roleNameType [\w+=,.@-]+, at most 64; paths are up to 512 of ! to DEL.
	roleResource = regexp.MustCompile(`^role/([!-~]{0,510}/)?[A-Za-z0-9_+=,.@-]{1,64}$`)
)

// IsAccountID tells whether s has the form of an AWS account id: 12 digits.
func IsAccountID(s string) bool { return accountIDPattern.MatchString(s) }

// ParseRoleARN parses the ARN of an IAM role, its path included.
func ParseRoleARN(s string) (ARN, error) {
	a, err := ParseARN(s)
	if err != nil {
		return ARN{}, err
	}
	if a.Service != "iam" || a.Region != "" || !IsAccountID(a.AccountID) || !roleResource.MatchString(a.Resource) {
		return ARN{}, fmt.Errorf("%q is not the ARN of an IAM role: want arn:aws:iam::111122223333:role/NAME", s)
	}
	return a, nil
}

// RoleName returns the name at the end of a role's ARN, without its path.
func (a ARN) RoleName() string { return a.Resource[strings.LastIndexByte(a.Resource, '/')+1:] }

// Partition returns the partition that region belongs to, as the endpoints of
// AWS's SDKs define it.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
