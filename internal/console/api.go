package console

import (
	"encoding/json"
	"time"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/rolepolicy"
)

// This file is the contract with the front end in console/: the routes below
// Prefix, and what goes over them as JSON. Fields may be added; none changes its
// name or its meaning.
//
// Every answer that is not 2xx is an ErrorReply. Requests that change something
// (POST, PUT and DELETE) carry the header ChangeHeader, and JSON bodies have
// Content-Type: application/json. In a cluster every request carries a bearer
// token in Authorization: the front end's own, or one that a proxy in front sets.
//
// Filters (AssociationFilter, ActivityFilter) are query parameters. A parameter
// may be given up to 20 times, which means any of the values; different
// parameters all have to hold.
const (
	// Path is where the console is served, and Prefix where its API is.
	Path   = "/console/"
	Prefix = Path + "api/v1"

	// ChangeHeader is required, with any value, on requests that change something:
	// no page of another origin can set it.
	ChangeHeader = "X-Podid-Console"
)

// The routes, below Prefix.
const (
	RouteSession = "GET /session" // -> Session

	// Associations. The list takes an AssociationFilter, and
	//   sort      namespace (default), serviceAccount, role, targetRole, account, state, created, modified, lastIssued; with - in front, descending
	//   page      from 1 (default 1)
	//   pageSize  1-200 (default 50)
	RouteAssociations = "GET /associations" // -> AssociationPage
	// The values to filter by, with how many associations each leaves: field is
	// cluster, namespace, serviceAccount, role, account or state, prefix what was
	// typed, which is found anywhere in the value; with an AssociationFilter, of
	// which the parameter of the field itself is left out.
	RouteFacets  = "GET /facets"        // ?field=&prefix=&limit= -> Facets
	RouteCreate  = "POST /associations" // AssociationInput -> 201 Association
	RoutePreview = "POST /preview"      // PreviewInput -> Preview; changes nothing, but is a POST and needs ChangeHeader

	RouteAssociation = "GET /associations/{id}"             // -> AssociationDetail
	RouteUpdate      = "PUT /associations/{id}"             // AssociationInput, whole -> Association; 409 if it has another version by now
	RouteDelete      = "DELETE /associations/{id}"          // ?version= -> Association as it was
	RouteExplanation = "GET /associations/{id}/explanation" // ?action=&resource=&pod= -> Explanation
	RoutePolicies    = "GET /associations/{id}/policies"    // -> Policies
	RoutePods        = "GET /associations/{id}/pods"        // ?limit= -> Pods: those that use it
	RouteDeletion    = "GET /associations/{id}/deletion"    // -> Deletion: what deleting it would do
	RouteEvents      = "GET /associations/{id}/events"      // -> Events: Kubernetes' own, of the association

	// Pickers: at most limit (1-500, default 100) that have q in them.
	RouteNamespaces      = "GET /namespaces"      // ?q=&cluster=&limit= -> Names
	RouteServiceAccounts = "GET /serviceaccounts" // ?q=&cluster=&namespace=&limit= -> ServiceAccounts
	RouteRoles           = "GET /roles"           // ?q=&account=&limit= -> Roles: those of associations and, in development, of the world

	// The map takes an AssociationFilter, whose role and account answer "who can
	// become this role, or a role of this account?", and
	//   by     what to draw on the left and right: serviceAccount,role; namespace,role; namespace,account; auto (default)
	//          takes the finest that has at most limit flows
	//   limit  1-2000 (default 400)
	RouteMap = "GET /map" // -> Map

	// Activity takes an ActivityFilter. The list is newest first, and
	//   limit   1-500 (default 50)
	//   before  a cursor: the Older of the page before
	//   after   a cursor: the Newer of an earlier page; only what came since, newest first
	//   wait    seconds, 0-25, with after: answers as soon as there is something, or with nothing when the time is up (long poll)
	RouteActivity = "GET /activity"        // -> ActivityPage
	RouteCounts   = "GET /activity/counts" // ?buckets= (1-500, default 60), from and to default to the last hour -> Counts

	RouteHealth = "GET /health" // -> Health
)

// ErrorReply is every answer that is not 2xx.
type ErrorReply struct {
	Error Error `json:"error"`
}

// Error says what went wrong, in a sentence for people.
type Error struct {
	// Code is for programs: InvalidParameter, InvalidRequest, NotFound, Conflict,
	// LimitExceeded, AccessDenied, Unauthenticated, ReadOnly, Throttled, Unavailable, Internal.
	Code      string `json:"code"`
	Message   string `json:"message"`
	Field     string `json:"field,omitempty"` // of an AssociationInput, where it is known
	RequestID string `json:"requestId"`
	// RetryAfterSeconds: the same request may succeed then. 0: not known.
	RetryAfterSeconds int `json:"retryAfterSeconds,omitempty"`
}

// Session is who asks, and what they may do.
type Session struct {
	User   string   `json:"user"`
	Groups []string `json:"groups,omitempty"`
	Mode   string   `json:"mode"` // "development" or "kubernetes"
	// ReadOnly: the console refuses every change, whoever asks.
	ReadOnly bool      `json:"readOnly"`
	Clusters []Cluster `json:"clusters"` // at least one; new associations are of the first unless told otherwise
	Version  string    `json:"version"`  // of podid
	May      May       `json:"may"`
	// Namespaces are those whose associations the user sees; AllNamespaces: no namespace is left out.
	AllNamespaces bool      `json:"allNamespaces"`
	Namespaces    []string  `json:"namespaces,omitempty"`
	Now           time.Time `json:"now"` // by the server's clock
}

// Cluster is one that associations can be of.
type Cluster struct {
	Name      string `json:"name"`
	ARN       string `json:"arn"`
	Region    string `json:"region"`
	AccountID string `json:"accountId"`
}

// May says what to offer. What counts is what the request itself is told. Create,
// Update and Delete are whether it is allowed in all namespaces; where a user may
// in some alone, they are true as well and the request decides.
type May struct {
	Create   bool `json:"create"`
	Update   bool `json:"update"`
	Delete   bool `json:"delete"`
	Activity bool `json:"activity"`
	Health   bool `json:"health"`
	// Explain: the policies of AWS can be read, and explanations made.
	Explain bool `json:"explain"`
}

// State is how it stands with an association.
type State string

// The states.
const (
	// Working: its roles could be assumed when that was last tried.
	Working State = "working"
	// Failing: they could not.
	Failing State = "failing"
	// NotReady: it breaks a rule, or podid's servers do not have it yet.
	NotReady State = "not-ready"
	// Unknown: nobody has tried yet.
	Unknown State = "unknown"
)

// AssociationFilter selects associations by query parameters:
//
//	q               words, each of which is anywhere in names, ARNs, id, account or tags
//	cluster         name
//	namespace
//	serviceAccount
//	role            ARN of the Pod Identity role or the target role
//	account         id of the account of either role
//	state           working, failing, not-ready, unknown
//	tag             KEY or KEY=VALUE, of the association's own tags
type AssociationFilter struct {
	Query          []string // lower-case words
	Cluster        []string
	Namespace      []string
	ServiceAccount []string
	Role           []string
	Account        []string
	State          []State
	Tag            []string
}

// AssociationPage is one page of a list.
type AssociationPage struct {
	Items    []Association `json:"items"`
	Total    int           `json:"total"` // that match, on all pages
	Page     int           `json:"page"`
	PageSize int           `json:"pageSize"`
	Pages    int           `json:"pages"`
}

// Association is a row of the list.
type Association struct {
	ID                 string            `json:"id"`
	ARN                string            `json:"arn"`
	Cluster            string            `json:"cluster"`
	Namespace          string            `json:"namespace"`
	ServiceAccount     string            `json:"serviceAccount"`
	RoleARN            string            `json:"roleArn"`
	RoleAccount        string            `json:"roleAccount"`
	TargetRoleARN      string            `json:"targetRoleArn,omitempty"`
	TargetRoleAccount  string            `json:"targetRoleAccount,omitempty"`
	ExternalID         string            `json:"externalId,omitempty"`
	DisableSessionTags bool              `json:"disableSessionTags"`
	Policy             string            `json:"policy,omitempty"` // session policy, IAM JSON
	Tags               map[string]string `json:"tags,omitempty"`
	State              State             `json:"state"`
	StateReason        string            `json:"stateReason,omitempty"` // one sentence, of Failing and NotReady
	CreatedAt          time.Time         `json:"createdAt"`
	ModifiedAt         time.Time         `json:"modifiedAt"`
	RevokedAt          *time.Time        `json:"revokedAt,omitempty"`
	LastIssued         *time.Time        `json:"lastIssued,omitempty"`
	// Version is given back with a change, which is refused if somebody else made
	// another one meanwhile.
	Version string `json:"version"`
	// ManagedBy names what keeps the association from elsewhere, and would undo a
	// change made here; empty: nothing is known.
	ManagedBy string `json:"managedBy,omitempty"`
}

// AssociationInput is what an association is to be. With an update it is the
// whole of it: what is left out is taken away. Cluster, namespace and service
// account cannot change.
type AssociationInput struct {
	Cluster            string            `json:"cluster,omitempty"` // empty: the first of Session.Clusters
	Namespace          string            `json:"namespace"`
	ServiceAccount     string            `json:"serviceAccount"`
	RoleARN            string            `json:"roleArn"`
	TargetRoleARN      string            `json:"targetRoleArn,omitempty"`
	DisableSessionTags bool              `json:"disableSessionTags,omitempty"`
	Policy             string            `json:"policy,omitempty"`
	Tags               map[string]string `json:"tags,omitempty"`
	// Version is that of the association which was edited; required with an update.
	Version string `json:"version,omitempty"`
}

// PreviewInput is an association that may be about to be made or changed.
type PreviewInput struct {
	ID          string           `json:"id,omitempty"` // of the one that would change; empty: a new one
	Association AssociationInput `json:"association"`
	// What the pod then does with its credentials, to be explained too: both or neither.
	Action   string `json:"action,omitempty"`
	Resource string `json:"resource,omitempty"`
}

// Preview is what would come of it.
type Preview struct {
	// Valid: saving it would succeed. If not, Problems says why not.
	Valid    bool      `json:"valid"`
	Problems []Problem `json:"problems"`
	// Warnings are what the cluster says about it without refusing it.
	Warnings []string `json:"warnings,omitempty"`
	// Explanation and Policies are there where the roles are written well enough for them.
	Explanation *Explanation `json:"explanation,omitempty"`
	Policies    *Policies    `json:"policies,omitempty"`
}

// Problem is one reason why an association cannot be saved.
type Problem struct {
	Field   string `json:"field,omitempty"` // of AssociationInput: namespace, serviceAccount, roleArn, targetRoleArn, policy, tags
	Code    string `json:"code"`            // as Error.Code
	Message string `json:"message"`
}

// AssociationDetail is one association and what is known around it.
type AssociationDetail struct {
	Association
	// Conditions are those of the Kubernetes object; in development, none.
	Conditions []Condition `json:"conditions,omitempty"`
	// Object is the Kubernetes object, namespace/name; empty in development.
	Object string `json:"object,omitempty"`
	// May is what this user may do to this association.
	May May `json:"may"`
}

// Condition is a condition of the Kubernetes object.
type Condition struct {
	Type               string    `json:"type"`
	Status             string    `json:"status"` // True, False or Unknown
	Reason             string    `json:"reason"`
	Message            string    `json:"message"`
	LastTransitionTime time.Time `json:"lastTransitionTime"`
}

// Explanation is what podid explain says, and its path as a picture.
type Explanation struct {
	// Report is that of podid explain -o json, to the letter. Absent where Unavailable says why.
	Report *explain.Report `json:"report,omitempty"`
	Chain  Chain           `json:"chain"`
	// Unavailable says why nothing could be explained; empty: it was.
	Unavailable string    `json:"unavailable,omitempty"`
	At          time.Time `json:"at"`
}

// Chain is the way from the pod to its credentials: nodes in their accounts, and
// an arrow from each to the next.
type Chain struct {
	Accounts []ChainAccount `json:"accounts"`
	Nodes    []ChainNode    `json:"nodes"`
	Arrows   []ChainArrow   `json:"arrows"`
}

// ChainAccount is a box around nodes.
type ChainAccount struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// ChainNode is one station.
type ChainNode struct {
	ID      string `json:"id"`   // "pod", "role", "target", "action"
	Kind    string `json:"kind"` // "pod", "podIdentityRole", "targetRole", "resource"
	Label   string `json:"label"`
	ARN     string `json:"arn,omitempty"`
	Account string `json:"account,omitempty"` // "" for the pod and what has no account
}

// ChainArrow is one step.
type ChainArrow struct {
	From    string          `json:"from"`
	To      string          `json:"to"`
	Step    string          `json:"step"` // name of the step of the report: "hop-1", "hop-2", "action"
	Label   string          `json:"label"`
	Verdict explain.Verdict `json:"verdict"` // allowed, refused, unknown
	// What the role assumption sends. Inherited tags are the transitive ones of the hop before.
	Tags            []Tag  `json:"tags,omitempty"`
	InheritedTags   []Tag  `json:"inheritedTags,omitempty"`
	ExternalID      string `json:"externalId,omitempty"`
	SessionName     string `json:"sessionName,omitempty"` // its end is random each time
	DurationSeconds int    `json:"durationSeconds,omitempty"`
	SessionPolicy   bool   `json:"sessionPolicy,omitempty"`
	// Tried is what came of it when podid itself last tried: allowed or refused, and
	// TriedText what AWS said. It counts where Verdict is unknown.
	Tried     explain.Verdict `json:"tried,omitempty"`
	TriedText string          `json:"triedText,omitempty"`
}

// Tag is a session tag.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Policies are those that the roles of an association need, in each form that is
// possible: as podid policies prints them.
type Policies struct {
	Forms []PolicyForm `json:"forms"`
	// Unavailable says why there are none; empty: there are.
	Unavailable string `json:"unavailable,omitempty"`
}

// PolicyForm is one way for the target role to tell this association from others.
type PolicyForm struct {
	Form string `json:"form"` // "tags" or "external-id"
	// Recommended is the one of the forms that podid policies takes by default.
	Recommended bool                `json:"recommended"`
	Policies    []rolepolicy.Policy `json:"policies"` // account, roleArn, role, kind, name, document
	// The same, for roles that are to be made, and for roles that are there.
	Terraform         string `json:"terraform"`
	TerraformExisting string `json:"terraformExisting"`
	Commands          string `json:"commands"`
	CommandsExisting  string `json:"commandsExisting"`
}

// Pods are those of an association's service account.
type Pods struct {
	Items []Pod `json:"items"`
	Total int   `json:"total"`
	// Known: false where there is nothing that knows pods; Items are then those
	// that asked for credentials lately.
	Known bool `json:"known"`
	// Reason says why nothing can be told; empty: it can.
	Reason string `json:"reason,omitempty"`
}

// Pod is one pod.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
	Node      string `json:"node,omitempty"`
	Phase     string `json:"phase,omitempty"`
	Ready     bool   `json:"ready"`
	// LastAsked and LastOutcome are of its newest request for credentials that the
	// console knows of.
	LastAsked   *time.Time `json:"lastAsked,omitempty"`
	LastOutcome string     `json:"lastOutcome,omitempty"` // granted or refused
}

// Deletion is what deleting an association would do.
type Deletion struct {
	Pods Pods `json:"pods"` // that use it now
	// Consequences are sentences, the gravest first.
	Consequences []string `json:"consequences"`
	// CredentialsUntil is until when credentials that were given already may live
	// on at AWS, as far as the console knows.
	CredentialsUntil *time.Time `json:"credentialsUntil,omitempty"`
}

// Events are Kubernetes' own about an association, newest first.
type Events struct {
	Items []KubernetesEvent `json:"items"`
	// Known: false where there is no Kubernetes, as in development.
	Known bool `json:"known"`
}

// KubernetesEvent is one of them.
type KubernetesEvent struct {
	Type      string    `json:"type"` // Normal or Warning
	Reason    string    `json:"reason"`
	Message   string    `json:"message"`
	Count     int       `json:"count"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Source    string    `json:"source,omitempty"`
}

// Facets are the values of a field, the most frequent first.
type Facets struct {
	Field string  `json:"field"`
	Items []Facet `json:"items"`
	More  bool    `json:"more"` // there are others
}

// Facet is a value, and how many associations have it.
type Facet struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Names are names to pick from, in order.
type Names struct {
	Items []string `json:"items"`
	More  bool     `json:"more"`
}

// ServiceAccounts are service accounts to pick from, in order.
type ServiceAccounts struct {
	Items []ServiceAccount `json:"items"`
	More  bool             `json:"more"`
}

// ServiceAccount is one of them.
type ServiceAccount struct {
	Namespace     string `json:"namespace"`
	Name          string `json:"name"`
	AssociationID string `json:"associationId,omitempty"` // of the one that it has
}

// Roles are roles to pick from, in order.
type Roles struct {
	Items []Role `json:"items"`
	More  bool   `json:"more"`
}

// Role is one of them.
type Role struct {
	ARN         string `json:"arn"`
	Account     string `json:"account"`
	Name        string `json:"name"` // with its path
	Description string `json:"description,omitempty"`
	// How many associations have it as their Pod Identity role, and as their target role.
	PodIdentityRoleOf int `json:"podIdentityRoleOf"`
	TargetRoleOf      int `json:"targetRoleOf"`
}

// Map is who can reach what, as flows from left to right: from who asks, over
// the Pod Identity role, to the role whose credentials they get.
type Map struct {
	By    string    `json:"by"` // what was drawn: "serviceAccount,role", "namespace,role" or "namespace,account"
	Nodes []MapNode `json:"nodes"`
	Flows []MapFlow `json:"flows"`
	// Associations that match the filter, and those that the flows show: fewer
	// where there are more flows than limit, of which the largest are shown.
	Associations int  `json:"associations"`
	Shown        int  `json:"shown"`
	Truncated    bool `json:"truncated"`
}

// MapNode is a station of flows.
type MapNode struct {
	ID           string `json:"id"`
	Kind         string `json:"kind"` // "namespace", "serviceAccount", "role", "account"
	Column       int    `json:"column"`
	Label        string `json:"label"`
	Parent       string `json:"parent,omitempty"` // namespace of a service account, account of a role
	ARN          string `json:"arn,omitempty"`
	Associations int    `json:"associations"`
}

// MapFlow is what goes from one node to another. Flows of one association are
// joined by their Path: hovering one traces all of the same path.
type MapFlow struct {
	From         string `json:"from"`
	To           string `json:"to"`
	Associations int    `json:"associations"`
	// How many of these are in which state.
	Working int `json:"working"`
	Failing int `json:"failing"`
	// Paths are the paths that the flow is part of, at most 50: the ids of the
	// nodes of each, from left to right, joined by a space.
	Paths []string `json:"paths"`
	// AssociationID is that of the one association, where it is but one.
	AssociationID string `json:"associationId,omitempty"`
}

// ActivityFilter selects audit events by query parameters:
//
//	q               words, each of which is anywhere in the event
//	from, to        RFC 3339, or a duration back from now such as 1h or 30m
//	outcome         granted, refused or admitted (of changes)
//	event           name, such as AssumeRoleForPodIdentity; counts are of that one if nothing else is said
//	source          door, such as eks-auth.amazonaws.com or console.podid.dev
//	user            part of who called
//	cluster, namespace, serviceAccount
//	pod             name or uid
//	role            ARN or name of a role that it is about
//	account         of such a role
//	association     id
//	accessKey       id of an access key that was given, or that signed
type ActivityFilter struct {
	From, To time.Time // zero: open
	any      [][]audit.Filter
	all      []func(*audit.Event) bool
}

// ActivityPage is a page of audit events, newest first.
type ActivityPage struct {
	Items []AuditEvent `json:"items"`
	// Older is the cursor of the next page; empty: there is none. Newer is for
	// after, to hear what comes.
	Older string `json:"older,omitempty"`
	Newer string `json:"newer"`
	// Partial names what could not be asked; empty: everything was.
	Partial []Partial `json:"partial,omitempty"`
}

// AuditEvent is an audit event: what a row shows, and the whole of it.
type AuditEvent struct {
	ID             string    `json:"id"`
	Time           time.Time `json:"time"`
	Name           string    `json:"name"`           // AssumeRoleForPodIdentity and others
	Door           string    `json:"door,omitempty"` // eventSource
	Outcome        string    `json:"outcome"`        // granted, refused or admitted
	Cluster        string    `json:"cluster,omitempty"`
	Namespace      string    `json:"namespace,omitempty"`
	ServiceAccount string    `json:"serviceAccount,omitempty"`
	Pod            string    `json:"pod,omitempty"`
	Node           string    `json:"node,omitempty"`
	Caller         string    `json:"caller,omitempty"`
	AssociationID  string    `json:"associationId,omitempty"`
	Roles          []string  `json:"roles,omitempty"` // ARNs of the chain, in order
	AccessKeyID    string    `json:"accessKeyId,omitempty"`
	ErrorCode      string    `json:"errorCode,omitempty"`
	ErrorMessage   string    `json:"errorMessage,omitempty"`
	Source         string    `json:"source,omitempty"` // replica that it comes from
	// Event is the audit event as it is kept.
	Event json.RawMessage `json:"event"`
}

// Counts are how many audit events there were over time.
type Counts struct {
	From          time.Time `json:"from"`
	To            time.Time `json:"to"`
	BucketSeconds float64   `json:"bucketSeconds"`
	Buckets       []Bucket  `json:"buckets"` // in order; empty ones too
	Granted       int       `json:"granted"`
	Refused       int       `json:"refused"`
	Partial       []Partial `json:"partial,omitempty"`
}

// Bucket is a span of time.
type Bucket struct {
	Start   time.Time `json:"start"`
	Granted int       `json:"granted"`
	Refused int       `json:"refused"`
}

// Partial is a replica that could not be asked.
type Partial struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
}

// Health is how podid is.
type Health struct {
	At time.Time `json:"at"`
	// Verdict is the worst of the Findings: "ok", "warning" or "critical".
	Verdict  string          `json:"verdict"`
	Findings []HealthFinding `json:"findings"`
	Replicas []Replica       `json:"replicas"`
	Agents   []Agent         `json:"agents"`
	// NodesWithoutAgent are nodes whose agent listens to no replica; where Known is
	// false, nobody knows of nodes.
	NodesWithoutAgent []string  `json:"nodesWithoutAgent"`
	NodesKnown        bool      `json:"nodesKnown"`
	Partial           []Partial `json:"partial,omitempty"`
}

// HealthFinding is something to know.
type HealthFinding struct {
	Severity string `json:"severity"` // ok, warning, critical
	Text     string `json:"text"`
	// Do says what to do about it.
	Do string `json:"do,omitempty"`
}

// Replica is one replica of the server.
type Replica struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Ready   bool      `json:"ready"`
	Lacks   string    `json:"lacks,omitempty"`
	Self    bool      `json:"self"` // the one that answers

	Agents       int `json:"agents"`
	Associations int `json:"associations"`
	// Sequence is how far it is with the changes of associations; BehindBy is by
	// how much that is less than the farthest replica's.
	Sequence uint64 `json:"sequence"`
	BehindBy uint64 `json:"behindBy"`

	Chains ChainStats `json:"chains"`

	Certificates []Certificate `json:"certificates"`
}

// ChainStats are a replica's counters since its start, and what there is now.
type ChainStats struct {
	Hits         uint64  `json:"hits"`
	Misses       uint64  `json:"misses"`
	Assumptions  uint64  `json:"assumptions"` // calls of STS
	Throttled    uint64  `json:"throttled"`   // of these, those that STS throttled
	Entries      int     `json:"entries"`
	Queue        int     `json:"queue"`         // role assumptions that wait for their turn
	RatePerSec   float64 `json:"ratePerSecond"` // tried at most, now
	Unfinished   uint64  `json:"unfinished"`
	SecondsSince float64 `json:"secondsSince"` // since the start, for rates
}

// Certificate is one that is served with or that agents trust.
type Certificate struct {
	Name      string    `json:"name"` // "serving", "authority"
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	Names     []string  `json:"names,omitempty"`
}

// Agent is the agent of a node.
type Agent struct {
	Node    string `json:"node"`
	Version string `json:"version,omitempty"` // empty: it does not tell
	// Listening: it hears of changes, from the replica Replica. If not, it has
	// been away since LastHeard.
	Listening bool      `json:"listening"`
	Replica   string    `json:"replica,omitempty"`
	LastHeard time.Time `json:"lastHeard"`
	Since     time.Time `json:"since"` // of its stream
	// What it told with its last request; absent: it does not tell.
	Cache *AgentCache `json:"cache,omitempty"`
	Stale bool        `json:"stale"` // it has not been heard of for longer than it should
}

// AgentCache is what an agent told of its memory.
type AgentCache struct {
	Pods    int    `json:"pods"`
	Entries int    `json:"entries"`
	Hits    uint64 `json:"hits"`
	Misses  uint64 `json:"misses"`
	// Stale: requests that were answered with credentials that end soon, for want of better.
	Stale uint64    `json:"stale"`
	At    time.Time `json:"at"`
}
