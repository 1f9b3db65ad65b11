package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/podid/podid/internal/accesskey"
)

// KeyListed is what a list tells of an access key: not its secret.
type KeyListed struct {
	ID      string    `json:"accessKeyId"`
	User    string    `json:"user,omitempty"`
	Groups  []string  `json:"groups,omitempty"`
	Uses    []string  `json:"uses,omitempty"`
	Created time.Time `json:"created"`
	// Broken says why podid does not accept the key.
	Broken string `json:"broken,omitempty"`
}

// CreateKey makes an access key and keeps it in a Secret of the namespace where
// podid's server looks for it.
func (k *Cluster) CreateKey(ctx context.Context, user string, groups, uses []string) (accesskey.Key, error) {
	info, err := k.Info(ctx)
	if err != nil {
		return accesskey.Key{}, err
	}
	key, err := accesskey.New(user, groups, uses)
	if err != nil {
		return accesskey.Key{}, err
	}
	_, err = k.client.CoreV1().Secrets(info.AccessKeys).Create(ctx, key.Object(info.AccessKeys), metav1.CreateOptions{})
	return key, err
}

// Keys lists the access keys.
func (k *Cluster) Keys(ctx context.Context) ([]KeyListed, error) {
	info, err := k.Info(ctx)
	if err != nil {
		return nil, err
	}
	// https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/#list-of-supported-fields
	list, err := k.client.CoreV1().Secrets(info.AccessKeys).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("type", string(accesskey.SecretType)).String(),
	})
	if err != nil {
		return nil, err
	}
	all := make([]KeyListed, 0, len(list.Items))
	for i := range list.Items {
		all = append(all, listed(&list.Items[i]))
	}
	return all, nil
}

func listed(s *corev1.Secret) KeyListed {
	l := KeyListed{Created: s.CreationTimestamp.UTC()}
	key, err := accesskey.Parse(s)
	if err == nil && s.Name != accesskey.SecretName(key.ID) {
		err = fmt.Errorf("its Secret is called %s, not %s", s.Name, accesskey.SecretName(key.ID))
	}
	if err != nil {
		l.ID, l.Broken = s.Name, err.Error()
		return l
	}
	l.ID, l.User, l.Groups, l.Uses = key.ID, key.User, key.Groups, key.Uses
	return l
}

// DeleteKey deletes the Secret of an access key, which is then dead at once.
func (k *Cluster) DeleteKey(ctx context.Context, id string) error {
	info, err := k.Info(ctx)
	if err != nil {
		return err
	}
	return k.client.CoreV1().Secrets(info.AccessKeys).Delete(ctx, accesskey.SecretName(id), metav1.DeleteOptions{})
}

// Key reads an access key from its Secret, named NAMESPACE/NAME.
func (k *Cluster) Key(ctx context.Context, secret string) (accesskey.Key, error) {
	namespace, name, found := strings.Cut(secret, "/")
	if !found || namespace == "" || name == "" {
		return accesskey.Key{}, fmt.Errorf("%q: want the Secret of an access key as NAMESPACE/NAME", secret)
	}
	s, err := k.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return accesskey.Key{}, err
	}
	key, err := accesskey.Parse(s)
	if err != nil {
		return accesskey.Key{}, fmt.Errorf("the Secret %s: %w", secret, err)
	}
	return key, nil
}

// KeyFor returns the access key of a Secret, named NAMESPACE/NAME, to sign with
// for one of its uses.
func (k *Cluster) KeyFor(ctx context.Context, secret, use string) (aws.CredentialsProvider, error) {
	key, err := k.Key(ctx, secret)
	if err != nil {
		return nil, fmt.Errorf("the access key: %w", err)
	}
	if !slices.Contains(key.Uses, use) {
		return nil, fmt.Errorf("access key %s is not for that: make one with --use %s", key.ID, use)
	}
	return credentials.NewStaticCredentialsProvider(key.ID, key.Secret.Reveal(), ""), nil
}

// Credentials returns the access key to sign with: that of a Secret, named
// NAMESPACE/NAME, or, if that is empty, that of the environment.
func (k *Cluster) Credentials(ctx context.Context, secret string, getenv func(string) string) (aws.CredentialsProvider, error) {
	if secret != "" {
		return k.KeyFor(ctx, secret, accesskey.UseEKSAuth)
	}
	id, secretKey := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY")
	switch {
	case id == "" || secretKey == "":
		return nil, errors.New("no podid access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to one made with --use eks-auth, or name its Secret by --access-key-secret NAMESPACE/NAME")
	case getenv("AWS_SESSION_TOKEN") != "":
		return nil, errors.New("AWS_SESSION_TOKEN is set, so the keys in the environment are AWS's: a podid access key is wanted, or --access-key-secret NAMESPACE/NAME")
	}
	return credentials.NewStaticCredentialsProvider(id, secretKey, ""), nil
}
