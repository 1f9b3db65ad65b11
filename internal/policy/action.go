package policy

import "strings"

// compileAction reads one value of an Action or NotAction element: "*" or
// vendor:Name, where the name may have wildcards and case does not count
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html).
func compileAction(s string) (pattern, problem string) {
	if s == "*" {
		return string([]byte{anyRun}), ""
	}
	vendor, name, found := strings.Cut(s, ":")
	switch {
	case !found:
		return "", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	case strings.Contains(name, ":"):
		return "", "Actions/Condition can contain only one colon."
	case vendor == "" || !only(vendor, letters+digits+"-."):
		return "", "Vendor " + vendor + " is not valid"
	case name == "" || !only(name, letters+digits+"*?-_."):
		return "", "Syntax errors in policy: " + quote(name) + " is not the name of an action"
	}
	return wildcardBytes.Replace(strings.ToLower(s)), ""
}

const (
	digits  = "0123456789"
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// only tells whether s has no characters but those of set.
func only(s, set string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) }) < 0
}

// trustActions are what a trust policy is consulted for
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html,
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
var trustActions = []string{
	"sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity",
	"sts:tagsession", "sts:setsourceidentity", "sts:setcontext",
}

// trustAction tells whether pattern, compiled, may stand in a trust policy.
func trustAction(pattern string) bool {
	if !strings.HasPrefix(pattern, "sts:") {
		return false
	}
	for _, a := range trustActions {
		if globMatch(pattern, a) {
			return true
		}
	}
	return false
}
