package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/identity"
)

// callTimeout bounds one call with a user's token.
const callTimeout = 15 * time.Second

// fieldOwner is the field manager of what users write here.
const fieldOwner = client.FieldOwner("podid-console")

// client makes a client with the user's own token, and nothing of podid's: the
// API server judges and records what is done with it as if kubectl had.
func (u *user) client(warnings rest.WarningHandler) (client.Client, error) {
	config := rest.AnonymousClientConfig(u.users.config.API)
	config.BearerToken = u.token.Reveal()
	config.QPS = -1
	config.UserAgent = "podid-console"
	config.WarningHandler = warnings
	return client.New(config, client.Options{Scheme: u.users.config.Scheme, Mapper: u.users.config.Live.RESTMapper()})
}

// warned takes what the API server warns of.
type warned struct {
	mu   sync.Mutex
	text []string
}

func (w *warned) HandleWarningHeader(code int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if code == 299 && len(w.text) < 10 { // https://www.rfc-editor.org/rfc/rfc7234#section-5.5
		w.text = append(w.text, text)
	}
}

// Create makes the custom resource of a service account.
func (u *user) Create(ctx context.Context, a identity.Association, dryRun bool) (console.Saved, error) {
	o := &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: a.ServiceAccount}}
	kube.Put(o, a)
	return u.write(ctx, o, func(ctx context.Context, c client.Client) error {
		options := []client.CreateOption{fieldOwner}
		if dryRun {
			options = append(options, client.DryRunAll)
		}
		err := c.Create(ctx, o, options...)
		if apierrors.IsAlreadyExists(err) {
			return identity.Errorf(identity.InUse, "Service account %s/%s has an association already. Edit that.", a.Namespace, a.ServiceAccount).Because(err)
		}
		return err
	})
}

// maxAttempts is how often an update starts over because podid itself wrote the
// object's status meanwhile.
const maxAttempts = 5

// Update writes what differs, as long as the spec of the object is the one that
// was seen: its generation counts the changes of that.
func (u *user) Update(ctx context.Context, before console.Record, a identity.Association, dryRun bool) (console.Saved, error) {
	seen := u.users.config.Object(before.Namespace, before.ServiceAccount)
	if seen == nil || kube.ID(seen.UID) != before.ID {
		return console.Saved{}, association.NotFound(before.ID)
	}
	now := kube.Association(u.users.config.Cluster, seen)
	if now.Version() != before.Version() || !maps.Equal(now.Tags, before.Tags) {
		return console.Saved{}, errChanged()
	}
	a.RevokedAt = now.RevokedAt
	o := &v1alpha1.PodIdentityAssociation{}
	return u.write(ctx, o, func(ctx context.Context, c client.Client) error {
		options := []client.PatchOption{fieldOwner}
		if dryRun {
			options = append(options, client.DryRunAll)
		}
		for attempt := 1; ; attempt++ {
			seen.DeepCopyInto(o)
			a.ModifiedAt = kube.Association(u.users.config.Cluster, seen).ModifiedAt // the API server notes the time
			kube.Put(o, a)
			err := c.Patch(ctx, o, client.MergeFromWithOptions(seen, client.MergeFromWithOptimisticLock{}), options...)
			if !apierrors.IsConflict(err) || attempt == maxAttempts {
				return err
			}
			latest := &v1alpha1.PodIdentityAssociation{}
			if err := c.Get(ctx, client.ObjectKeyFromObject(seen), latest); err != nil {
				return err
			}
			if latest.UID != seen.UID || latest.Generation != seen.Generation {
				return errChanged()
			}
			seen = latest
		}
	})
}

func errChanged() error {
	return identity.Errorf(identity.InUse, "The association was changed by somebody else meanwhile. Load it again, and look at what is different.")
}

// Delete deletes the object that was seen, and none that has taken its name since.
func (u *user) Delete(ctx context.Context, r console.Record, dryRun bool) error {
	seen := u.users.config.Object(r.Namespace, r.ServiceAccount)
	if seen == nil || kube.ID(seen.UID) != r.ID {
		return association.NotFound(r.ID)
	}
	_, err := u.write(ctx, seen.DeepCopy(), func(ctx context.Context, c client.Client) error {
		options := []client.DeleteOption{client.Preconditions{UID: &seen.UID}}
		if dryRun {
			options = append(options, client.DryRunAll)
		}
		return c.Delete(ctx, seen.DeepCopy(), options...)
	})
	return err
}

func (u *user) write(ctx context.Context, o *v1alpha1.PodIdentityAssociation, do func(context.Context, client.Client) error) (console.Saved, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var said warned
	c, err := u.client(&said)
	if err != nil {
		return console.Saved{}, err
	}
	if err := do(ctx, c); err != nil {
		return console.Saved{}, failure(err)
	}
	return console.Saved{Association: kube.Association(u.users.config.Cluster, o), Warnings: said.text}, nil
}

// failure tells the user what the API server told: it was their own request.
func failure(err error) error {
	if _, ok := errors.AsType[*identity.Error](err); ok {
		return err
	}
	text := said(err)
	of := func(kind identity.Kind) error { return identity.Errorf(kind, "%s", text).Because(err) }
	switch {
	case apierrors.IsForbidden(err):
		return of(identity.AccessDenied)
	case apierrors.IsUnauthorized(err):
		return identity.Errorf(identity.Unauthenticated, "The cluster's API server does not accept the token any more.").Because(err)
	case apierrors.IsNotFound(err):
		return of(identity.NotFound)
	case apierrors.IsConflict(err):
		return errChanged()
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return of(identity.InvalidParameter)
	case apierrors.IsTooManyRequests(err):
		e := identity.Errorf(identity.Throttled, "The cluster's API server is busy. Try again.").Because(err)
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			e.RetryAfter = time.Duration(seconds) * time.Second
		}
		return e
	}
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok && status.ErrStatus.Code >= 400 && status.ErrStatus.Code < 500 {
		return of(identity.InvalidRequest)
	}
	return identity.Errorf(identity.Unavailable, "The cluster's API server does not answer as it should: %s", text).Because(err)
}

// maxText bounds what is passed on of a refusal. One of two roles has their ARNs,
// which take 600 characters at most, ten times.
const maxText = 16_000

// said is the text of a refusal: of an admission webhook's, without the envelope.
func said(err error) string {
	text := err.Error()
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return "the connection failed"
	}
	if status.ErrStatus.Message != "" {
		text = status.ErrStatus.Message
	}
	if _, after, found := strings.Cut(text, " denied the request: "); found && strings.HasPrefix(text, "admission webhook") {
		text = after
	}
	return text[:min(len(text), maxText)]
}

// Around is what users may see of their cluster besides associations, with their
// own tokens.
func (u *Users) Around() console.Surroundings {
	return console.Surroundings{
		Namespaces: func(ctx context.Context, who console.User, _ string) ([]string, error) {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
			var names []string
			err := with(ctx, who, list, client.Limit(maxPicked))
			for _, o := range list.Items {
				names = append(names, o.Name)
			}
			return names, allowed(err)
		},
		ServiceAccounts: func(ctx context.Context, who console.User, _, namespace string) ([]console.ServiceAccount, error) {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ServiceAccountList"))
			var found []console.ServiceAccount
			err := with(ctx, who, list, client.Limit(maxPicked), client.InNamespace(namespace))
			for _, o := range list.Items {
				found = append(found, console.ServiceAccount{Namespace: o.Namespace, Name: o.Name})
			}
			return found, allowed(err)
		},
		Pods: func(ctx context.Context, who console.User, r console.Record) ([]console.Pod, error) {
			may, err := who.(*user).may(ctx, question{"list", "", "pods", r.Namespace})
			if err != nil {
				return nil, err
			}
			if !may {
				return nil, identity.Errorf(identity.AccessDenied, "You may not list pods in namespace %s.", r.Namespace)
			}
			return u.config.Pods(ctx, r.Namespace, r.ServiceAccount)
		},
		Events: func(ctx context.Context, who console.User, r console.Record) ([]console.KubernetesEvent, error) {
			list := &corev1.EventList{}
			err := with(ctx, who, list, client.Limit(maxPicked), client.InNamespace(r.Namespace),
				client.MatchingFields{"involvedObject.name": r.ServiceAccount, "involvedObject.kind": v1alpha1.Kind})
			if err != nil {
				return nil, failure(err)
			}
			return eventsOf(list), nil
		},
	}
}

// maxPicked bounds what is read for pickers.
const maxPicked = 5000

func with(ctx context.Context, who console.User, list client.ObjectList, options ...client.ListOption) error {
	u, ok := who.(*user)
	if !ok {
		return fmt.Errorf("a user of type %T", who)
	}
	c, err := u.client(rest.NoWarnings{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.List(ctx, list, options...)
}

// allowed takes what the user may not list for nothing: they can still type it.
func allowed(err error) error {
	if apierrors.IsForbidden(err) || err == nil {
		return nil
	}
	return failure(err)
}
