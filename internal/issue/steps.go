package issue

import (
	"context"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/trace"
)

// The steps of the path, each with its span where the request is traced.

func (i *Issuer) verify(ctx context.Context, r Request) (identity.Subject, error) {
	within, span := trace.Start(ctx, "verify token", trace.Internal)
	subject, err := i.config.Verifier.Verify(within, r.Cluster, r.Token.Reveal())
	span.End(err)
	if err == nil {
		whole := trace.Of(ctx)
		whole.Set("k8s.cluster.name", r.Cluster)
		whole.Set("k8s.namespace.name", subject.Namespace)
		whole.Set("k8s.pod.name", subject.PodName)
		whole.Set("k8s.pod.uid", subject.PodUID)
		whole.Set("podid.service_account", subject.ServiceAccount)
	}
	return subject, err
}

func (i *Issuer) lookup(ctx context.Context, cluster string, s identity.Subject) (identity.Association, error) {
	within, span := trace.Start(ctx, "look up association", trace.Internal)
	a, err := i.config.Associations.Lookup(within, cluster, s.Namespace, s.ServiceAccount)
	span.End(err)
	trace.Of(ctx).Set("podid.association.id", a.ID)
	return a, err
}

func (i *Issuer) assume(ctx context.Context, a identity.Association, s identity.Subject) ([]Step, error) {
	ctx, span := trace.Start(ctx, "role chain", trace.Internal)
	steps, err := i.config.Chains.Assume(ctx, a, s)
	span.SetBool("podid.cached", len(steps) > 0 && steps[len(steps)-1].Cached)
	span.End(err)
	return steps, err
}

func (i *Issuer) write(ctx context.Context, e *audit.Event) error {
	ctx, span := trace.Start(ctx, "write audit event", trace.Internal)
	err := i.config.Audit.Write(ctx, e)
	span.End(err)
	return err
}
