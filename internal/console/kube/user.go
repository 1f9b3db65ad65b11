package kube

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/identity"
)

// group is the API group of podid's permissions. Of these two resources there
// are no objects: RBAC alone knows their names.
const (
	group        = "podid.dev"
	associations = "podidentityassociations"
	auditEvents  = "auditevents"
	health       = "health"
)

// user is one, for as long as they are remembered.
type user struct {
	users *Users
	info  authenticationv1.UserInfo
	extra map[string]authorizationv1.ExtraValue
	token identity.Secret
	until time.Time

	mu      sync.Mutex
	answers map[question]*answered
}

var _ console.User = (*user)(nil)

// question is what RBAC is asked about a user.
type question struct{ verb, group, resource, namespace string }

// answered is asked once, however many wait.
type answered struct {
	once    sync.Once
	allowed bool
	err     error
}

func (u *user) Name() string     { return u.info.Username }
func (u *user) Groups() []string { return slices.Clone(u.info.Groups) }

// ARN names the user as rbac does.
func (u *user) ARN() string {
	c := u.users.config.Cluster
	return identity.ARN{
		Partition: identity.Partition(c.Region), Service: "eks", Region: c.Region, AccountID: c.AccountID, Resource: "user/" + c.Name + "/" + u.info.Username,
	}.String()
}

// may asks RBAC, once in the time that a user is remembered.
func (u *user) may(ctx context.Context, q question) (bool, error) {
	u.mu.Lock()
	a := u.answers[q]
	if a == nil {
		a = &answered{}
		u.answers[q] = a
	}
	u.mu.Unlock()
	a.once.Do(func() { a.allowed, a.err = u.ask(ctx, q) })
	if a.err != nil { // it is asked again the next time
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.answers[q] == a {
			delete(u.answers, q)
		}
	}
	return a.allowed, a.err
}

func (u *user) ask(ctx context.Context, q question) (bool, error) {
	ctx, done, err := u.users.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	review, err := u.users.config.Access.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: u.info.Username, UID: u.info.UID, Groups: u.info.Groups, Extra: u.extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: q.verb, Group: q.group, Resource: q.resource, Namespace: q.namespace},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, identity.Errorf(identity.Unavailable, "The cluster's API server cannot say at present what you may do.").Because(err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}

// Scope is where the user may list associations.
func (u *user) Scope(ctx context.Context) (console.Scope, error) {
	return u.scope(ctx, question{verb: "list", group: group, resource: associations})
}

// Activity is where the user may list audit events.
func (u *user) Activity(ctx context.Context) (console.Scope, error) {
	scope, err := u.scope(ctx, question{verb: "list", group: group, resource: auditEvents})
	if err == nil && !scope.All && len(scope.Namespaces) == 0 {
		err = identity.Errorf(identity.AccessDenied, "You may not see audit events: it takes the verb list on %s.%s, for the whole cluster or a namespace, as the ClusterRole podid-audit-viewer gives it.", auditEvents, group)
	}
	return scope, err
}

// scope asks about the whole cluster, and else about each namespace that has associations.
func (u *user) scope(ctx context.Context, q question) (console.Scope, error) {
	all, err := u.may(ctx, q)
	if err != nil || all {
		return console.Scope{All: all}, err
	}
	namespaces := u.users.config.Namespaces()
	if len(namespaces) > maxNamespaces {
		return console.Scope{}, identity.Errorf(identity.LimitExceeded,
			"There are associations in %d namespaces, too many to ask about each of them whether you may see it. It takes the verb list for the whole cluster.", len(namespaces))
	}
	scope := console.Scope{Namespaces: map[string]bool{}}
	var mu sync.Mutex
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(maxReviews / 4)
	for _, namespace := range namespaces {
		asking.Go(func() error {
			q := q
			q.namespace = namespace
			allowed, err := u.may(ctx, q)
			if allowed {
				mu.Lock()
				defer mu.Unlock()
				scope.Namespaces[namespace] = true
			}
			return err
		})
	}
	return scope, asking.Wait()
}

// May says what RBAC would, of a namespace; of all of them, that something is
// allowed somewhere cannot be asked, and so is offered to whoever sees any.
func (u *user) May(ctx context.Context, namespace string) (console.May, error) {
	may := console.May{Explain: true}
	for _, ask := range []struct {
		to *bool
		q  question
	}{
		{&may.Create, question{"create", group, associations, namespace}}, {&may.Update, question{"patch", group, associations, namespace}},
		{&may.Delete, question{"delete", group, associations, namespace}}, {&may.Activity, question{"list", group, auditEvents, namespace}},
		{&may.Health, question{"get", group, health, ""}},
	} {
		var err error
		if *ask.to, err = u.may(ctx, ask.q); err != nil {
			return may, err
		}
	}
	if namespace != "" || may.Create && may.Update && may.Delete && may.Activity {
		return may, nil
	}
	seen, err := u.Scope(ctx)
	if err != nil {
		return may, err
	}
	for name := range seen.Namespaces {
		here, err := u.May(ctx, name)
		if err != nil {
			return may, err
		}
		may.Create, may.Update, may.Delete, may.Activity = may.Create || here.Create, may.Update || here.Update, may.Delete || here.Delete, may.Activity || here.Activity
		if may.Create && may.Update && may.Delete && may.Activity {
			break
		}
	}
	return may, nil
}
