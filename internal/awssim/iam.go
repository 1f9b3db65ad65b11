package awssim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// IAM quotas that are counted here
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
const (
	maxAttached   = 10
	maxIAMTags    = 50
	maxVersions   = 5
	maxAccessKeys = 2
	maxClientIDs  = 100
)

var iamProtocol = awswire.Query{Namespace: awswire.IAMNamespace}

// iamCall is one request to IAM.
type iamCall struct {
	sim     *Sim
	c       *Caller
	account string // whose entities it is about; nobody sees another account's
	action  string
	form    url.Values
}

// iamOperation answers an operation. A nil result is an empty reply.
type iamOperation func(*iamCall) (any, error)

// iamOperations is IAM as far as it is here
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html).
func iamOperations() map[string]iamOperation {
	all := map[string]iamOperation{
		"CreateRole": (*iamCall).createRole, "GetRole": (*iamCall).getRole, "ListRoles": (*iamCall).listRoles,
		"DeleteRole": (*iamCall).deleteRole, "UpdateRole": (*iamCall).updateRole, "UpdateRoleDescription": (*iamCall).updateRole,
		"UpdateAssumeRolePolicy": (*iamCall).updateAssumeRolePolicy, "ListInstanceProfilesForRole": none("Role", &instanceProfilesResult{}),

		"CreateUser": (*iamCall).createUser, "GetUser": (*iamCall).getUser, "ListUsers": (*iamCall).listUsers,
		"DeleteUser": (*iamCall).deleteUser, "UpdateUser": (*iamCall).updateUser,
		"CreateAccessKey": (*iamCall).createAccessKey, "ListAccessKeys": (*iamCall).listAccessKeys,
		"UpdateAccessKey": (*iamCall).updateAccessKey, "DeleteAccessKey": (*iamCall).deleteAccessKey,
		"GetAccessKeyLastUsed": (*iamCall).getAccessKeyLastUsed, "GetLoginProfile": (*iamCall).getLoginProfile,
		"ListGroupsForUser": none("User", &groupsResult{}), "ListMFADevices": none("User", &mfaDevicesResult{}),
		"ListSSHPublicKeys": none("User", &sshKeysResult{}), "ListSigningCertificates": none("User", &certificatesResult{}),
		"ListServiceSpecificCredentials": none("User", &serviceCredentialsResult{}),
		"ListVirtualMFADevices":          noneAtAll(&virtualMFAResult{}), "ListAccountAliases": noneAtAll(&aliasesResult{}),

		"CreatePolicy": (*iamCall).createPolicy, "GetPolicy": (*iamCall).getPolicy, "DeletePolicy": (*iamCall).deletePolicy,
		"ListPolicies": (*iamCall).listPolicies, "CreatePolicyVersion": (*iamCall).createPolicyVersion,
		"GetPolicyVersion": (*iamCall).getPolicyVersion, "ListPolicyVersions": (*iamCall).listPolicyVersions,
		"DeletePolicyVersion": (*iamCall).deletePolicyVersion, "SetDefaultPolicyVersion": (*iamCall).setDefaultPolicyVersion,
		"ListEntitiesForPolicy": (*iamCall).listEntitiesForPolicy, "TagPolicy": (*iamCall).tagPolicy,
		"UntagPolicy": (*iamCall).untagPolicy, "ListPolicyTags": (*iamCall).listPolicyTags,

		"CreateOpenIDConnectProvider": (*iamCall).createProvider, "GetOpenIDConnectProvider": (*iamCall).getProvider,
		"ListOpenIDConnectProviders": (*iamCall).listProviders, "DeleteOpenIDConnectProvider": (*iamCall).deleteProvider,
		"AddClientIDToOpenIDConnectProvider": (*iamCall).addClientID, "RemoveClientIDFromOpenIDConnectProvider": (*iamCall).removeClientID,
		"UpdateOpenIDConnectProviderThumbprint": (*iamCall).updateThumbprint, "TagOpenIDConnectProvider": (*iamCall).tagProvider,
		"UntagOpenIDConnectProvider": (*iamCall).untagProvider, "ListOpenIDConnectProviderTags": (*iamCall).listProviderTags,

		"SimulatePrincipalPolicy": (*iamCall).simulatePrincipalPolicy, "SimulateCustomPolicy": (*iamCall).simulateCustomPolicy,
		"GetContextKeysForPrincipalPolicy": (*iamCall).getContextKeysForPrincipalPolicy, "GetContextKeysForCustomPolicy": (*iamCall).getContextKeysForCustomPolicy,
	}
	for _, noun := range []string{"Role", "User"} {
		for name, do := range principalOperations(noun) {
			all[name] = do
		}
	}
	return all
}

// serveIAM answers one IAM request.
func (s *Sim) serveIAM(operations map[string]iamOperation) service {
	return func(w http.ResponseWriter, r *http.Request, c *Caller) {
		form, err := awswire.ParseForm(r)
		if err != nil {
			iamProtocol.WriteError(w, r, err)
			return
		}
		x := &iamCall{sim: s, c: c, account: c.AccountID(), action: form.Get("Action"), form: form}
		if c.principal.Kind == policy.Service {
			x.account = c.request.sourceAccount
		}
		do := operations[x.action]
		if do == nil {
			iamProtocol.WriteError(w, r, awswire.InvalidAction(form))
			return
		}
		result, err := do(x)
		if err != nil {
			iamProtocol.WriteError(w, r, iamError(err))
			return
		}
		iamProtocol.WriteResult(w, r, x.action, result)
	}
}

// iamError finds the exception of an error; IAM's own pass as they are.
func iamError(err error) error {
	if e, ok := errors.AsType[*policy.SyntaxError](err); ok {
		if e.TooLarge {
			return limitExceeded("%s", e.Message)
		}
		return iamFailure(http.StatusBadRequest, "MalformedPolicyDocument", "%s", e.Error())
	}
	if e, ok := errors.AsType[*invalidPrincipal](err); ok {
		return iamFailure(http.StatusBadRequest, "MalformedPolicyDocument", "%s", e.Error())
	}
	if identity.KindOf(err) == identity.AccessDenied {
		return iamFailure(http.StatusForbidden, "AccessDenied", "%s", identity.SafeMessage(err))
	}
	return err
}

func iamFailure(status int, code, format string, args ...any) error {
	return &awswire.Error{Code: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

func noSuchEntity(format string, args ...any) error {
	return iamFailure(http.StatusNotFound, "NoSuchEntity", format, args...)
}
func alreadyExists(format string, args ...any) error {
	return iamFailure(http.StatusConflict, "EntityAlreadyExists", format, args...)
}
func deleteConflict(format string, args ...any) error {
	return iamFailure(http.StatusConflict, "DeleteConflict", format, args...)
}
func limitExceeded(format string, args ...any) error {
	return iamFailure(http.StatusConflict, "LimitExceeded", format, args...)
}

// may asks whether the caller may do the call's action.
func (x *iamCall) may(resource string, tags []identity.Tag, context policy.Context) error {
	return x.mayDo("iam:"+x.action, resource, tags, context)
}

func (x *iamCall) mayDo(action, resource string, tags []identity.Tag, context policy.Context) error {
	keys := policy.Context{}
	for key, values := range context {
		keys.Set(key, values...)
	}
	setTags(keys, "iam:ResourceTag/", tags)
	return x.sim.authorize(x.c, question{Action: action, Resource: resource, ResourceAccount: x.account, ResourceTags: tags, Context: keys})
}

// requestTags puts the tags of a request into the context of a question.
func requestTags(context policy.Context, tags []identity.Tag) policy.Context {
	if context == nil {
		context = policy.Context{}
	}
	var keys []string
	for _, t := range tags {
		context.Set("aws:RequestTag/"+t.Key, t.Value)
		keys = append(keys, t.Key)
	}
	if len(keys) > 0 {
		context.Set("aws:TagKeys", keys...)
	}
	return context
}

// Names and paths, as IAM's model has them.
var (
	iamNamePattern   = regexp.MustCompile(`^[\w+=,.@-]+$`)
	iamPathPattern   = regexp.MustCompile(`^(/|/[\x21-\x7E]+/)$`)
	iamTagKey        = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$`)
	iamTagValue      = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
	iamDescription   = regexp.MustCompile(`^[\x{09}\x{0A}\x{0D}\x{20}-\x{7E}\x{A1}-\x{FF}]*$`)
	iamPolicyVersion = regexp.MustCompile(`^v[1-9][0-9]*$`)
)

// name returns a required parameter that is a name.
func (x *iamCall) name(parameter string, longest int) (string, error) {
	value := x.form.Get(parameter)
	at := strings.ToLower(parameter[:1]) + parameter[1:]
	switch {
	case value == "":
		return "", validationError("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", at)
	case len(value) > longest:
		return "", validationError("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", at, longest)
	case !iamNamePattern.MatchString(value):
		return "", validationError("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", at)
	}
	return value, nil
}

func (x *iamCall) path() (string, error) {
	value := x.form.Get("Path")
	if value == "" {
		return "/", nil
	}
	if len(value) > 512 || !iamPathPattern.MatchString(value) {
		return "", validationError("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return value, nil
}

// tags reads the parameter Tags.
func (x *iamCall) tags() ([]identity.Tag, error) {
	var in struct{ Tags []struct{ Key, Value string } }
	if err := awswire.DecodeForm(x.form, &in); err != nil {
		return nil, err
	}
	var tags []identity.Tag
	for _, t := range in.Tags {
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > 128 || !iamTagKey.MatchString(t.Key):
			return nil, validationError("Tag key %.128q is invalid: it must have 1-128 letters, numbers, spaces and _.:/=+-@", t.Key)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, iamFailure(http.StatusBadRequest, "InvalidInput", "System tags cannot be added or modified by the requester: %s", t.Key)
		case utf8.RuneCountInString(t.Value) > 256 || !iamTagValue.MatchString(t.Value):
			return nil, validationError("The value of tag %s is invalid: it must have up to 256 letters, numbers, spaces and _.:/=+-@", t.Key)
		}
		if _, twice := tagValue(tags, t.Key); twice {
			return nil, iamFailure(http.StatusBadRequest, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		tags = append(tags, identity.Tag{Key: t.Key, Value: t.Value})
	}
	if len(tags) > maxIAMTags {
		return nil, limitExceeded("The number of tags has reached the maximum limit of %d.", maxIAMTags)
	}
	return tags, nil
}

func (x *iamCall) tagKeys() ([]string, error) {
	var in struct{ TagKeys []string }
	return in.TagKeys, awswire.DecodeForm(x.form, &in)
}

// mergeTags returns old with the new tags, which replace those of the same key.
func mergeTags(old, more []identity.Tag) ([]identity.Tag, error) {
	var merged []identity.Tag
	for _, t := range old {
		if _, replaced := tagValue(more, t.Key); !replaced {
			merged = append(merged, t)
		}
	}
	merged = append(merged, more...)
	if len(merged) > maxIAMTags {
		return nil, limitExceeded("The number of tags has reached the maximum limit of %d.", maxIAMTags)
	}
	return merged, nil
}

// withoutTags returns old without the tags of those keys.
func withoutTags(old []identity.Tag, keys []string) []identity.Tag {
	return slices.DeleteFunc(slices.Clone(old), func(t identity.Tag) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(key, t.Key) })
	})
}

// page returns the part of items that Marker and MaxItems ask for. Items are
// put in the order of their keys, which are unique.
func page[T any](x *iamCall, items []T, key func(T) string) ([]T, paging, error) {
	var in struct {
		Marker   string
		MaxItems *int32
	}
	if err := awswire.DecodeForm(x.form, &in); err != nil {
		return nil, paging{}, err
	}
	size := 100 // IAM's default
	if in.MaxItems != nil {
		size = int(*in.MaxItems)
	}
	if size < 1 || size > 1000 {
		return nil, paging{}, validationError("1 validation error detected: Value '%d' at 'maxItems' failed to satisfy constraint: Member must be between 1 and 1000", size)
	}
	after, err := base64.RawURLEncoding.DecodeString(in.Marker)
	if err != nil {
		return nil, paging{}, validationError("Invalid Marker.")
	}
	items = slices.SortedFunc(slices.Values(items), func(a, b T) int { return strings.Compare(key(a), key(b)) })
	items = slices.DeleteFunc(items, func(item T) bool { return in.Marker != "" && key(item) <= string(after) })
	if len(items) <= size {
		return items, paging{}, nil
	}
	items = items[:size]
	return items, paging{IsTruncated: true, Marker: base64.RawURLEncoding.EncodeToString([]byte(key(items[size-1])))}, nil
}

// none answers a list of things that users or roles of the small AWS have none of.
func none(noun string, result any) iamOperation {
	return func(x *iamCall) (any, error) {
		h, err := x.holder(noun)
		if err == nil {
			err = x.may(h.arn, h.p.Tags, nil)
		}
		return result, err
	}
}

// noneAtAll is the same for an account.
func noneAtAll(result any) iamOperation {
	return func(x *iamCall) (any, error) { return result, x.may("*", nil, nil) }
}

// escaped is a policy as IAM returns it: percent-encoded by RFC 3986.
func escaped(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
