package awssim

import (
	"strings"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
)

// The results of IAM's operations (model iam 2010-05-08).

type paging struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

type wireTag struct{ Key, Value string }

func wireTags(tags []identity.Tag) (out []wireTag) {
	for _, t := range tags {
		out = append(out, wireTag(t))
	}
	return out
}

type tagsResult struct {
	Tags []wireTag `xml:"Tags>member"`
	paging
}

type wireBoundary struct{ PermissionsBoundaryType, PermissionsBoundaryArn string }

func wireBoundaryOf(arn string) *wireBoundary {
	if arn == "" {
		return nil
	}
	return &wireBoundary{"Policy", arn}
}

type wireRole struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	ARN                      string `xml:"Arn"`
	CreateDate               awswire.ISOTime
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	PermissionsBoundary      *wireBoundary
	Tags                     []wireTag `xml:"Tags>member"`
}

type roleResult struct{ Role wireRole }

type rolesResult struct {
	Roles []wireRole `xml:"Roles>member"`
	paging
}

type wireUser struct {
	Path                string
	UserName            string
	UserID              string `xml:"UserId"`
	ARN                 string `xml:"Arn"`
	CreateDate          awswire.ISOTime
	PermissionsBoundary *wireBoundary
	Tags                []wireTag `xml:"Tags>member"`
}

type userResult struct{ User wireUser }

type usersResult struct {
	Users []wireUser `xml:"Users>member"`
	paging
}

type wireKey struct {
	UserName    string
	AccessKeyID string `xml:"AccessKeyId"`
	Status      string
	CreateDate  awswire.ISOTime
}

type wireNewKey struct {
	wireKey
	SecretAccessKey string
}

type newKeyResult struct{ AccessKey wireNewKey }

type keysResult struct {
	AccessKeyMetadata []wireKey `xml:"AccessKeyMetadata>member"`
	paging
}

type wireLastUsed struct{ Region, ServiceName string }

type lastUsedResult struct {
	UserName          string
	AccessKeyLastUsed wireLastUsed
}

type inlineResult struct {
	RoleName       string `xml:",omitempty"`
	UserName       string `xml:",omitempty"`
	PolicyName     string
	PolicyDocument string
}

type policyNamesResult struct {
	PolicyNames []string `xml:"PolicyNames>member"`
	paging
}

type wireAttached struct{ PolicyName, PolicyArn string }

type attachedResult struct {
	AttachedPolicies []wireAttached `xml:"AttachedPolicies>member"`
	paging
}

type wirePolicy struct {
	PolicyName                    string
	PolicyID                      string `xml:"PolicyId"`
	ARN                           string `xml:"Arn"`
	Path                          string
	DefaultVersionID              string `xml:"DefaultVersionId"`
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    awswire.ISOTime
	UpdateDate                    awswire.ISOTime
	Tags                          []wireTag `xml:"Tags>member"`
}

type policyResult struct{ Policy wirePolicy }

type policiesResult struct {
	Policies []wirePolicy `xml:"Policies>member"`
	paging
}

type wireVersion struct {
	Document         string `xml:",omitempty"`
	VersionID        string `xml:"VersionId"`
	IsDefaultVersion bool
	CreateDate       awswire.ISOTime
}

type versionResult struct{ PolicyVersion wireVersion }

type versionsResult struct {
	Versions []wireVersion `xml:"Versions>member"`
	paging
}

type (
	wirePolicyRole struct {
		RoleName string
		RoleID   string `xml:"RoleId"`
	}
	wirePolicyUser struct {
		UserName string
		UserID   string `xml:"UserId"`
	}
)

type entitiesResult struct {
	PolicyGroups []string         `xml:"PolicyGroups>member"`
	PolicyUsers  []wirePolicyUser `xml:"PolicyUsers>member"`
	PolicyRoles  []wirePolicyRole `xml:"PolicyRoles>member"`
	paging
}

type newProviderResult struct {
	ARN  string    `xml:"OpenIDConnectProviderArn"`
	Tags []wireTag `xml:"Tags>member"`
}

type providerResult struct {
	URL            string   `xml:"Url"`
	ClientIDList   []string `xml:"ClientIDList>member"`
	ThumbprintList []string `xml:"ThumbprintList>member"`
	CreateDate     awswire.ISOTime
	Tags           []wireTag `xml:"Tags>member"`
}

type wireProvider struct{ Arn string }

type providersResult struct {
	List []wireProvider `xml:"OpenIDConnectProviderList>member"`
}

type wirePosition struct{ Line, Column int }

type wireStatement struct {
	SourcePolicyID   string `xml:"SourcePolicyId"`
	SourcePolicyType string
	StartPosition    wirePosition
	EndPosition      wirePosition
}

type (
	boundaryDetail      struct{ AllowedByPermissionsBoundary bool }
	organizationsDetail struct{ AllowedByOrganizations bool }
	// decisionDetails is a map as the Query protocol writes one.
	decisionDetails []decisionDetail
	decisionDetail  struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	}
)

type evaluationResult struct {
	EvalActionName                    string
	EvalResourceName                  string
	EvalDecision                      string
	MatchedStatements                 []wireStatement `xml:"MatchedStatements>member"`
	MissingContextValues              []string        `xml:"MissingContextValues>member"`
	OrganizationsDecisionDetail       *organizationsDetail
	PermissionsBoundaryDecisionDetail *boundaryDetail
	EvalDecisionDetails               decisionDetails  `xml:"EvalDecisionDetails>entry"`
	ResourceSpecificResults           []resourceResult `xml:"ResourceSpecificResults>member"`
}

type resourceResult struct {
	EvalResourceName                  string
	EvalResourceDecision              string
	MatchedStatements                 []wireStatement `xml:"MatchedStatements>member"`
	MissingContextValues              []string        `xml:"MissingContextValues>member"`
	EvalDecisionDetails               decisionDetails `xml:"EvalDecisionDetails>entry"`
	PermissionsBoundaryDecisionDetail *boundaryDetail
}

type simulateResult struct {
	EvaluationResults []evaluationResult `xml:"EvaluationResults>member"`
	paging
}

type contextKeysResult struct {
	ContextKeyNames []string `xml:"ContextKeyNames>member"`
}

// What the small AWS has none of, as empty lists.
type (
	instanceProfilesResult struct {
		InstanceProfiles struct{}
		paging
	}
	groupsResult struct {
		Groups struct{}
		paging
	}
	mfaDevicesResult struct {
		MFADevices struct{}
		paging
	}
	virtualMFAResult struct {
		VirtualMFADevices struct{}
		paging
	}
	sshKeysResult struct {
		SSHPublicKeys struct{}
		paging
	}
	certificatesResult struct {
		Certificates struct{}
		paging
	}
	serviceCredentialsResult struct{ ServiceSpecificCredentials struct{} }
	aliasesResult            struct {
		AccountAliases struct{}
		paging
	}
)

// nameOf is the name at the end of an ARN.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// lower is a noun as it stands within a sentence or an ARN.
func lower(noun string) string { return strings.ToLower(noun) }
