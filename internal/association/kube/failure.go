package kube

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/podid/podid/internal/identity"
)

// failure makes podid's error of the API server's.
func failure(err error) error {
	if _, ok := errors.AsType[*identity.Error](err); err == nil || ok {
		return err
	}
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return identity.Errorf(identity.InvalidRequest, "The namespace is being deleted.").Because(err)
	// A schema, another admission webhook or policy, or a quota; or podid's own RBAC.
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err):
		return identity.Errorf(identity.InvalidRequest, "The cluster's API server refused: %.1000s", err.Error()).Because(err)
	case apierrors.IsConflict(err):
		return identity.Errorf(identity.Throttled, "The association is being changed by other requests. Try again.").Because(err)
	case apierrors.IsTooManyRequests(err):
		throttled := identity.Errorf(identity.Throttled, "The cluster's API server is busy. Try again.")
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			throttled.RetryAfter = time.Duration(seconds) * time.Second
		}
		return throttled.Because(err)
	case apierrors.IsUnauthorized(err):
		return identity.Errorf(identity.Internal, "").Because(err)
	}
	// All else is a connection that failed, a timeout, or an API server in trouble.
	if errors.Is(err, context.Canceled) {
		return identity.Errorf(identity.Unavailable, "The request was given up.").Because(err)
	}
	return identity.Errorf(identity.Unavailable, "The cluster's API server does not answer at present. Try again.").Because(err)
}
