// Package certificate keeps the certificate that podid's replicas serve with: in
// one Secret, made and renewed by whichever replica comes first, and read by all
// of them. Nothing restarts and no file is written.
package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Config says where the certificate is kept and who has to know its authority.
// Client, Namespace, Secret and Names are required.
type Config struct {
	// Client reads and writes without a cache.
	Client client.Client
	// Namespace holds the Secret.
	Namespace string
	// Secret is the name of the Secret. It has to exist, so that the server needs
	// no right to make Secrets; it may be empty.
	Secret string
	// ConfigMap is the name of the ConfigMap that agents and other clients read
	// the authority from, in the field ca.crt. It has to exist. Empty: none.
	ConfigMap string
	// ConfigMapNamespace holds the ConfigMap: that of the agents, since a pod can
	// mount those of its own namespace alone. Empty: Namespace.
	ConfigMapNamespace string
	// MutatingWebhook and ValidatingWebhook are the names of the configurations
	// whose webhooks are given the authority. Empty: none.
	MutatingWebhook, ValidatingWebhook string
	// Names are what the certificate is for: DNS names, and IP addresses.
	Names []string
	// AuthorityLifetime is how long an authority lives; a new one is made when a
	// fifth of that is left. 0: 10 years.
	AuthorityLifetime time.Duration
	// Lifetime is how long a certificate lives; a new one is made when a third of
	// that is left. 0: 90 days.
	Lifetime time.Duration
	// Spread is how long a new authority is published before it is used. The
	// kubelet takes a minute or two to hand pods a new ConfigMap. 0: 1 hour.
	Spread time.Duration
	// Skew is how far the clocks of those who check a certificate may be behind. It
	// has to be less than Lifetime. 0: 5 min.
	Skew time.Duration
	// Every is how often the Secret is looked at. 0: 5 s.
	Every time.Duration
	// Logger takes what changed and what failed. Nil: nothing.
	Logger *slog.Logger
}

// Keeper keeps the certificate. It is safe for concurrent use.
type Keeper struct {
	config  Config
	rules   rules
	current atomic.Pointer[tls.Certificate]
}

// New makes a Keeper. It reads nothing yet.
func New(c Config) (*Keeper, error) {
	if c.Client == nil || c.Namespace == "" || c.Secret == "" || len(c.Names) == 0 {
		return nil, errors.New("certificate: Client, Namespace, Secret and Names are required")
	}
	for _, d := range []struct {
		value     *time.Duration
		byDefault time.Duration
	}{
		{&c.AuthorityLifetime, 10 * 365 * 24 * time.Hour},
		{&c.Lifetime, 90 * 24 * time.Hour},
		{&c.Spread, time.Hour},
		{&c.Skew, 5 * time.Minute},
		{&c.Every, 5 * time.Second},
	} {
		if *d.value < 0 {
			return nil, errors.New("certificate: a negative time")
		}
		if *d.value == 0 {
			*d.value = d.byDefault
		}
	}
	if c.ConfigMapNamespace == "" {
		c.ConfigMapNamespace = c.Namespace
	}
	if c.Skew >= c.Lifetime {
		return nil, errors.New("certificate: Lifetime must be more than Skew")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{config: c, rules: rules{c.Names, c.AuthorityLifetime, c.Lifetime, c.Spread, c.Skew}}, nil
}

// Current returns the certificate to serve with, or nil while there is none.
func (k *Keeper) Current() *tls.Certificate { return k.current.Load() }

// GetCertificate is for tls.Config.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := k.current.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("there is no certificate yet")
}

// Run looks at the Secret now and again until ctx ends, and makes and publishes
// what is due. A failure is logged, and tried again.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(k.config.Every)
	defer tick.Stop()
	failure := ""
	for {
		err := k.look(ctx, time.Now())
		switch {
		case err != nil && ctx.Err() == nil && err.Error() != failure:
			k.config.Logger.ErrorContext(ctx, "the serving certificate", "error", err)
			failure = err.Error()
		case err == nil:
			failure = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look brings everything up to date once.
func (k *Keeper) look(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s, err := k.settle(ctx, now)
	if err != nil {
		return err
	}
	// Whoever checks the certificate must know its authority first.
	err = k.publish(ctx, s.bundle())
	if before := k.current.Swap(s.leaf); before == nil || !bytes.Equal(before.Certificate[0], s.leaf.Certificate[0]) {
		k.config.Logger.InfoContext(ctx, "serving with a new certificate", "serial", s.leaf.Leaf.SerialNumber.Text(16), "not_after", s.leaf.Leaf.NotAfter)
	}
	return err
}

// settle returns what the Secret holds, once that is what it should hold. If
// another replica is quicker, its work stands.
func (k *Keeper) settle(ctx context.Context, now time.Time) (state, error) {
	for {
		secret := &corev1.Secret{}
		if err := k.config.Client.Get(ctx, client.ObjectKey{Namespace: k.config.Namespace, Name: k.config.Secret}, secret); err != nil {
			return state{}, fmt.Errorf("reading the Secret of the certificate (it comes with podid's manifests): %w", err)
		}
		s, err := parse(secret.Data)
		if err != nil {
			return state{}, fmt.Errorf("the Secret %s/%s: %w; delete its data and podid makes them anew", k.config.Namespace, k.config.Secret, err)
		}
		s, changed, err := s.next(k.rules, now)
		if err != nil || !changed {
			return s, err
		}
		if secret.Data, err = s.data(); err != nil {
			return state{}, err
		}
		err = k.config.Client.Update(ctx, secret)
		if err == nil || !apierrors.IsConflict(err) {
			return s, err
		}
	}
}

// publish gives the authorities to all who have to know them. All are tried.
func (k *Keeper) publish(ctx context.Context, bundle []byte) error {
	return errors.Join(k.publishConfigMap(ctx, bundle), k.publishMutating(ctx, bundle), k.publishValidating(ctx, bundle))
}

func (k *Keeper) publishConfigMap(ctx context.Context, bundle []byte) error {
	if k.config.ConfigMap == "" {
		return nil
	}
	found := &corev1.ConfigMap{}
	found.Namespace, found.Name = k.config.ConfigMapNamespace, k.config.ConfigMap
	return k.patch(ctx, found, func() bool {
		if found.Data[fieldCA] == string(bundle) {
			return false
		}
		if found.Data == nil {
			found.Data = map[string]string{}
		}
		found.Data[fieldCA] = string(bundle)
		return true
	})
}

func (k *Keeper) publishMutating(ctx context.Context, bundle []byte) error {
	if k.config.MutatingWebhook == "" {
		return nil
	}
	found := &admissionv1.MutatingWebhookConfiguration{}
	found.Name = k.config.MutatingWebhook
	return k.patch(ctx, found, func() (changed bool) {
		for i := range found.Webhooks {
			changed = inject(&found.Webhooks[i].ClientConfig, bundle) || changed
		}
		return changed
	})
}

func (k *Keeper) publishValidating(ctx context.Context, bundle []byte) error {
	if k.config.ValidatingWebhook == "" {
		return nil
	}
	found := &admissionv1.ValidatingWebhookConfiguration{}
	found.Name = k.config.ValidatingWebhook
	return k.patch(ctx, found, func() (changed bool) {
		for i := range found.Webhooks {
			changed = inject(&found.Webhooks[i].ClientConfig, bundle) || changed
		}
		return changed
	})
}

func inject(c *admissionv1.WebhookClientConfig, bundle []byte) (changed bool) {
	if bytes.Equal(c.CABundle, bundle) {
		return false
	}
	c.CABundle = bundle
	return true
}

// patch reads o, and writes what edit changes in it unless another was quicker:
// then the next look sees to it.
func (k *Keeper) patch(ctx context.Context, o client.Object, edit func() (changed bool)) error {
	if err := k.config.Client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return fmt.Errorf("publishing the authority: %w", err)
	}
	before := o.DeepCopyObject().(client.Object)
	if !edit() {
		return nil
	}
	err := k.config.Client.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("publishing the authority: %w", err)
	}
	return nil
}
