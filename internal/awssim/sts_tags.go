package awssim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// checkTags applies the rules that hold between tags
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html).
func (a *assumption) checkTags() error {
	for i, t := range a.tags {
		if len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:") {
			return invalidParameterValue("aws: prefixed tag key names are not allowed for external use.")
		}
		if _, twice := tagValue(a.tags[:i], t.Key); twice {
			return invalidParameterValue("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if _, conflict := tagValue(a.inherited, t.Key); conflict {
			return errTransitiveConflict()
		}
	}
	for _, key := range a.transitive {
		if _, conflict := tagValue(a.inherited, key); conflict {
			return errTransitiveConflict()
		}
		if _, passed := tagValue(a.tags, key); !passed {
			return invalidParameterValue("The specified transitive tag key must be included in the requested tags.")
		}
	}
	return nil
}

func errTransitiveConflict() error {
	return invalidParameterValue("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
}

// allTransitive returns the keys that the next hop inherits, this one's
// inheritance included.
func (a *assumption) allTransitive() []string {
	var keys []string
	for _, t := range a.inherited {
		keys = append(keys, t.Key)
	}
	return append(keys, a.transitive...)
}

// resourceTags returns the tags of the role as its trust policy sees them:
// inherited values stand in for the role's own of the same keys
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining).
func (a *assumption) resourceTags(target *role) []identity.Tag {
	tags := slices.Clone(target.Tags)
	for i, t := range tags {
		if value, ok := tagValue(a.inherited, t.Key); ok {
			tags[i].Value = value
		}
	}
	return tags
}

// inherits returns the tags that a session hands on.
func (se *session) inherits() []identity.Tag {
	var tags []identity.Tag
	for _, t := range se.Tags {
		if slices.ContainsFunc(se.Transitive, func(key string) bool { return strings.EqualFold(key, t.Key) }) {
			tags = append(tags, t)
		}
	}
	return tags
}

// packedSize returns how much of the room for session policies and tags is
// taken, in percent; nil where there are none, inherited ones included.
func (a *assumption) packedSize() (*int, error) {
	tags := slices.Concat(a.inherited, a.tags)
	if a.policy == "" && len(a.policyARNs) == 0 && len(tags) == 0 {
		return nil, nil
	}
	policies := append([]string{a.policy}, a.policyARNs...)
	var pairs []string
	for _, t := range tags {
		pairs = append(pairs, t.Key, t.Value)
	}
	percent, err := policy.PackedSize(policies, append(pairs, a.allTransitive()...))
	if err != nil {
		return nil, err
	}
	if percent > 100 {
		return nil, &awswire.Error{Code: "PackedPolicyTooLarge", Status: http.StatusBadRequest,
			Message: fmt.Sprintf("Packed size of session policies and tags consumes %d%% of allotted space.", percent)}
	}
	return &percent, nil
}
