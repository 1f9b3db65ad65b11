package association

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

const (
	maxRequestToken = 256 // AWS states no figure for EKS
	maxPolicy       = 2048
	maxTags         = 50
	maxTagKey       = 128
	maxTagValue     = 256
)

var (
	associationID = regexp.MustCompile(`^a-[a-z0-9]{17}$`)
	dnsLabel      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	// tagText is IAM's pattern of tags, which is what the EKS API recommends in words.
	tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
	// policyText is STS's pattern of session policies (its model: sessionPolicyDocumentType).
	policyText = regexp.MustCompile(`^[\t\n\r\x20-\x{FF}]*$`)
)

// newID makes an association id: "a-" and 17 of a-z0-9. Text leaves out 0, 1, 8
// and 9 and so makes 85 bits of it.
func newID() string { return "a-" + strings.ToLower(rand.Text()[:17]) }

// once makes the idempotency of a request from all that it asks.
func (s *Service) once(operation, token string, input any) (Once, error) {
	if token == "" {
		return Once{}, nil
	}
	if utf8.RuneCountInString(token) > maxRequestToken {
		return Once{}, identity.Errorf(identity.InvalidParameter, "clientRequestToken has at most %d characters.", maxRequestToken)
	}
	text, err := json.Marshal(input)
	if err != nil {
		return Once{}, err
	}
	sum := sha256.Sum256(append([]byte(operation), text...))
	return Once{Token: token, Digest: hex.EncodeToString(sum[:]), At: s.now()}, nil
}

// check applies the rules that need nothing but the association itself.
func check(a identity.Association) error {
	if err := checkName("namespace", a.Namespace, 63, false); err != nil {
		return err
	}
	if err := checkName("serviceAccount", a.ServiceAccount, 253, true); err != nil {
		return err
	}
	if err := checkTargetRole(a.Cluster, a.TargetRoleARN); err != nil {
		return err
	}
	if err := checkPolicy(a); err != nil {
		return err
	}
	return checkTags(a.Tags)
}

// checkName applies Kubernetes' own rule
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/):
// an RFC 1123 label, or several with dots between.
func checkName(member, name string, longest int, dots bool) error {
	if strings.ContainsAny(name, "*?[") {
		return identity.Errorf(identity.InvalidParameter,
			"%s %.300q has a wildcard. An association is for exactly one service account: create one association for each.", member, name)
	}
	labels := []string{name}
	if dots {
		labels = strings.Split(name, ".")
	}
	ok := len(name) <= longest
	for _, label := range labels {
		ok = ok && dnsLabel.MatchString(label)
	}
	if !ok {
		return identity.Errorf(identity.InvalidParameter,
			"%s %.300q is not a Kubernetes name: want 1-%d lower-case letters, digits and hyphens, with a letter or digit at both ends.", member, name, longest)
	}
	return nil
}

// checkRolePlace checks the Pod Identity role's ARN and account. AWS answers an
// empty ARN with the same text (https://github.com/eksctl-io/eksctl/issues/8718).
func checkRolePlace(cluster identity.Cluster, roleARN string) error {
	const crossAccount = "Cross-account pass role is not allowed"
	if roleARN == "" {
		return identity.Errorf(identity.InvalidParameter,
			"%s: roleArn is empty. It has to be a role of the cluster's account %s.", crossAccount, cluster.AccountID)
	}
	arn, err := identity.ParseRoleARN(roleARN)
	if err != nil {
		return identity.Errorf(identity.InvalidParameter, "roleArn: %.300s", err.Error())
	}
	if arn.AccountID != cluster.AccountID {
		return identity.Errorf(identity.InvalidParameter,
			"%s: roleArn has to be a role of the cluster's account %s. For a role of another account, use targetRoleArn.", crossAccount, cluster.AccountID)
	}
	return checkPartition("roleArn", cluster, arn)
}

// checkTargetRole checks the target role's ARN; an empty one means none.
func checkTargetRole(cluster identity.Cluster, roleARN string) error {
	if roleARN == "" {
		return nil
	}
	arn, err := identity.ParseRoleARN(roleARN)
	if err != nil {
		return identity.Errorf(identity.InvalidParameter, "targetRoleArn: %.300s", err.Error())
	}
	return checkPartition("targetRoleArn", cluster, arn)
}

// checkPartition holds because no role can be assumed from another partition.
func checkPartition(member string, cluster identity.Cluster, arn identity.ARN) error {
	if want := identity.Partition(cluster.Region); arn.Partition != want {
		return identity.Errorf(identity.InvalidParameter, "%s has to be in the cluster's partition %s, not %.64s.", member, want, arn.Partition)
	}
	return nil
}

// checkPolicy checks the session policy. That it needs the tags to be off is
// AWS's rule, which reports it as PackedPolicyTooLarge
// (https://aws.amazon.com/blogs/containers/session-policies-for-amazon-eks-pod-identity/).
func checkPolicy(a identity.Association) error {
	if a.Policy == "" {
		return nil
	}
	if !a.DisableSessionTags {
		return identity.Errorf(identity.InvalidParameter,
			`PackedPolicyTooLarge: policy needs disableSessionTags to be true. Set it, or clear the policy with "".`)
	}
	if n := utf8.RuneCountInString(a.Policy); n > maxPolicy {
		return identity.Errorf(identity.InvalidParameter, "policy has %d characters, of at most %d.", n, maxPolicy)
	}
	if !policyText.MatchString(a.Policy) {
		return identity.Errorf(identity.InvalidParameter, "policy has characters that STS does not take: want tabs, line breaks and U+0020 to U+00FF.")
	}
	if _, err := policy.Parse(policy.Session, a.Policy); err != nil {
		return identity.Errorf(identity.InvalidParameter, "policy is not valid: %.500s", err.Error())
	}
	return nil
}

// checkTags applies the restrictions on tags
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_TagResource.html).
func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return tooManyTags()
	}
	for k, v := range tags {
		if err := checkTagKey(k); err != nil {
			return err
		}
		if utf8.RuneCountInString(v) > maxTagValue || !tagText.MatchString(v) || reserved(v) {
			return identity.Errorf(identity.InvalidParameter,
				"The value of tag %q is not valid: want at most %d letters, digits, spaces and + - = . _ : / @, and no aws: in front.", k, maxTagValue)
		}
	}
	return nil
}

func checkTagKey(key string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > maxTagKey || !tagText.MatchString(key) || reserved(key) {
		return identity.Errorf(identity.InvalidParameter,
			"Tag key %.200q is not valid: want 1-%d letters, digits, spaces and + - = . _ : / @, and no aws: in front.", key, maxTagKey)
	}
	return nil
}

func tooManyTags() error {
	return identity.Errorf(identity.InvalidParameter, "A resource has at most %d tags.", maxTags)
}

func reserved(s string) bool { return len(s) >= 4 && strings.EqualFold(s[:4], "aws:") }
