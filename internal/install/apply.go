package install

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// owner is the manager of the fields that are applied.
const owner = "podid-install"

// Apply applies manifests at the API server, one object after another, in their
// order. It calls done for each. Fields that others manage differently are a
// conflict, unless force takes them over.
func Apply(ctx context.Context, api *rest.Config, manifests string, force bool, done func(object string)) error {
	all, err := objects(manifests)
	if err != nil {
		return err
	}
	c, err := client.New(api, client.Options{})
	if err != nil {
		return err
	}
	c = client.WithFieldValidation(c, metav1.FieldValidationStrict)
	options := []client.ApplyOption{client.FieldOwner(owner)}
	if force {
		options = append(options, client.ForceOwnership)
	}
	for _, o := range all {
		if err := apply(ctx, c, o, options); err != nil {
			if apierrors.IsConflict(err) {
				err = fmt.Errorf("%w; look at it, or force it", err)
			}
			return fmt.Errorf("%s: %w", title(o), err)
		}
		done(title(o))
	}
	return nil
}

// appearWithin is how long the API server may take to serve a kind that was just
// defined, and to let a namespace that was just made be written to.
const appearWithin = 20 * time.Second

// apply applies one object. What an earlier object has to bring about first is
// waited for.
func apply(ctx context.Context, c client.Client, o *unstructured.Unstructured, options []client.ApplyOption) error {
	ctx, cancel := context.WithTimeout(ctx, appearWithin)
	defer cancel()
	for {
		err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), options...)
		if err == nil || !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// title names an object as kubectl does: kind, namespace and name.
func title(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}
