package policy

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Quotas of characters that are not of a Type but of what it is attached to;
// whoever stores the policy checks them, with Size
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-entity-length).
const (
	MaxManaged     = 6144  // one managed policy
	MaxInlineUser  = 2048  // all inline policies of a user together
	MaxInlineGroup = 5120  // all inline policies of a group together
	MaxInlineRole  = 10240 // all inline policies of a role together
	TrustQuota     = 2048  // a trust policy, where the account's quota has not been raised
)

// maxText bounds all work on a document; white space counts
// (policyDocumentType in https://github.com/boto/botocore/blob/develop/botocore/data/iam/2010-05-08/service-2.json).
const maxText = 131072

// limit returns the most characters that a document of type t can have
// anywhere, and whether white space counts.
func (t Type) limit() (limit int, whiteSpace bool) {
	switch t {
	case Session: // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
		return 2048, true
	case Resource: // 20 KB: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
		return 20480, true
	case Trust: // the quota's maximum, as the same page of quotas has it
		return 4096, false
	case SCP, RCP: // https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
		return 5120, true
	}
	// Identity policies and boundaries: AWS's own managed policies are larger
	// than what customers may store.
	return maxText, true
}

// Size counts the characters of a policy as IAM does against its quotas:
// without white space.
func Size(text string) int {
	spaces := strings.Count(text, " ") + strings.Count(text, "\t") + strings.Count(text, "\n") + strings.Count(text, "\r")
	return utf8.RuneCountInString(text) - spaces
}

func checkSize(t Type, text string) *SyntaxError {
	limit, whiteSpace := t.limit()
	size := utf8.RuneCountInString(text)
	if !whiteSpace {
		size = Size(text)
	}
	if size <= limit && len(text) <= maxText {
		return nil
	}
	return &SyntaxError{
		Line: 1, Column: 1, TooLarge: true,
		Message: "the policy has " + strconv.Itoa(size) + " characters, more than the quota of " + strconv.Itoa(limit),
	}
}

// checkCharacters holds IAM's policies to the characters that it takes: tab,
// line feed, carriage return, and U+0020 to U+00FF
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-names).
func checkCharacters(t Type, text string) *SyntaxError {
	if t == Resource {
		return nil
	}
	i := strings.IndexFunc(text, func(r rune) bool {
		return r > 0xff || r < ' ' && r != '\t' && r != '\n' && r != '\r'
	})
	if i < 0 {
		return nil
	}
	return errorAt(text, i, "The policy contains a character that is not allowed")
}
