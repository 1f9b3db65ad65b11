package controller

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/identity"
)

// IssuedConfig says where the times of grants are written. Client and Object are required.
type IssuedConfig struct {
	// Client writes.
	Client client.Client
	// Object returns the informer's object of a service account, or nil.
	Object func(namespace, serviceAccount string) *v1alpha1.PodIdentityAssociation
	// Every is how often the time of an association is written at most, by all
	// replicas together as a rule. 0: 10 minutes.
	Every time.Duration
	// Logger takes failures. Nil: nowhere.
	Logger *slog.Logger
}

// Issued writes when credentials were last given for each association. Every
// replica has one, leader or not. It is safe for concurrent use.
type Issued struct {
	config IssuedConfig

	mu    sync.Mutex
	times map[types.NamespacedName]time.Time // not yet written
}

const (
	defaultIssuedEvery = 10 * time.Minute
	// writeEvery is how often the times are looked through, and writePause how
	// long is waited between two writes: so that no storm of pods is one of writes.
	writeEvery = 5 * time.Second
	writePause = 50 * time.Millisecond
)

// NewIssued makes an Issued.
func NewIssued(c IssuedConfig) (*Issued, error) {
	if c.Client == nil || c.Object == nil || c.Every < 0 {
		return nil, errors.New("controller: Client and Object are required, and a time is not negative")
	}
	if c.Every == 0 {
		c.Every = defaultIssuedEvery
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Issued{config: c, times: map[types.NamespacedName]time.Time{}}, nil
}

// Note notes that credentials were given now. It does not wait.
func (i *Issued) Note(a identity.Association) {
	now := time.Now()
	key := types.NamespacedName{Namespace: a.Namespace, Name: a.ServiceAccount}
	i.mu.Lock()
	i.times[key] = now
	i.mu.Unlock()
}

// Run writes until ctx ends. What is not written then is lost: it is a help to
// those who clean up, and no record.
func (i *Issued) Run(ctx context.Context) error {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		failure := i.flush(ctx)
		if failure != nil && ctx.Err() == nil {
			i.config.Logger.WarnContext(ctx, "writing when credentials were last given", "error", failure)
		}
	}
}

// flush writes what is due. It stops at the first failure: the rest has time.
func (i *Issued) flush(ctx context.Context) error {
	for key, at := range i.due() {
		if err := i.write(ctx, key, at); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(writePause):
		}
	}
	return nil
}

// due returns the times that it is time to write, and forgets those of objects
// that are no more. Those whose object has a time of late, wait.
func (i *Issued) due() map[types.NamespacedName]time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	due := map[types.NamespacedName]time.Time{}
	for key, at := range i.times {
		o := i.config.Object(key.Namespace, key.Name)
		if o == nil {
			delete(i.times, key)
			continue
		}
		if last := o.Status.LastIssued; last == nil || at.Sub(last.Time) >= i.config.Every {
			due[key] = at
		}
	}
	return due
}

// write writes one time, and forgets it unless there is a newer one.
func (i *Issued) write(ctx context.Context, key types.NamespacedName, at time.Time) error {
	o := i.config.Object(key.Namespace, key.Name)
	if o == nil {
		return nil
	}
	// With the UID, the API server takes it for this object alone.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": o.UID},
		"status":   map[string]any{"lastIssued": metav1.NewTime(at)},
	})
	if err != nil {
		return err
	}
	target := &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	err = i.config.Client.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("podid-issued"))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.times[key].Equal(at) {
		delete(i.times, key)
	}
	return nil
}
