package accesskey

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/sigv4"
)

// defaultTimeout bounds the reading of a key.
const defaultTimeout = 2 * time.Second

// Secrets reads the Secrets of one namespace; the typed client's Secrets(namespace) does.
type Secrets interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*corev1.Secret, error)
}

// Config says where keys are, and what for. Secrets and Region are required.
type Config struct {
	Secrets Secrets
	// Region is the one that signatures must be for.
	Region string
	// Timeout bounds the reading of a key. 0: 2 s.
	Timeout time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger takes what is wrong with a key that a caller tried. Nil: nothing.
	Logger *slog.Logger
}

// Verifier finds out whose key signed a request. Every request reads the key,
// so that one whose Secret is deleted is dead at once.
type Verifier struct{ config Config }

// NewVerifier makes a Verifier.
func NewVerifier(c Config) (*Verifier, error) {
	if c.Secrets == nil || c.Region == "" {
		return nil, errors.New("accesskey: Secrets and Region are required")
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Verifier{c}, nil
}

// Verify returns the key that signed r, and the service that the signature is
// for, which is one of the key's uses. The body of r is verified with it (see
// sigv4.Verifier). Its error is a *sigv4.Error, or an *identity.Error of kind
// Unavailable where the key cannot be read.
func (v *Verifier) Verify(r *http.Request) (key Key, service string, err error) {
	check, err := sigv4.New(sigv4.Config{Now: v.config.Now, Secret: func(ctx context.Context, scope sigv4.Scope, sessionToken string) (string, error) {
		var err error
		if key, err = v.find(ctx, scope, sessionToken); err != nil {
			return "", err
		}
		return key.Secret.Reveal(), nil
	}})
	if err != nil {
		return Key{}, "", err
	}
	scope, err := check.Verify(r)
	if err != nil {
		return Key{}, "", err
	}
	return key, scope.Service, nil
}

// find returns the key of a signature's scope.
func (v *Verifier) find(ctx context.Context, scope sigv4.Scope, sessionToken string) (Key, error) {
	switch {
	case sessionToken != "":
		return Key{}, &sigv4.Error{Failure: sigv4.InvalidSessionToken}
	case scope.Region != v.config.Region:
		return Key{}, &sigv4.Error{Failure: sigv4.WrongScope, Message: "Credential should be scoped to region " + v.config.Region + "."}
	case !keyID.MatchString(scope.AccessKeyID):
		return Key{}, &sigv4.Error{Failure: sigv4.UnknownKey}
	}
	ctx, cancel := context.WithTimeout(ctx, v.config.Timeout)
	defer cancel()
	secret, err := v.config.Secrets.Get(ctx, SecretName(scope.AccessKeyID), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Key{}, &sigv4.Error{Failure: sigv4.UnknownKey}
	}
	if err != nil {
		return Key{}, identity.Errorf(identity.Unavailable, "The access key cannot be looked up at present.").Because(err)
	}
	key, err := read(secret, scope.AccessKeyID)
	if err != nil {
		v.config.Logger.WarnContext(ctx, "a Secret holds no usable access key", "secret", secret.Namespace+"/"+secret.Name, "error", err)
		return Key{}, &sigv4.Error{Failure: sigv4.UnknownKey}
	}
	if !slices.Contains(key.Uses, scope.Service) {
		return Key{}, &sigv4.Error{Failure: sigv4.WrongScope, Message: "The access key is not for the service that the credential is scoped to."}
	}
	return key, nil
}
