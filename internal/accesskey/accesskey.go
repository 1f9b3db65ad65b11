// Package accesskey is AWS access keys that stand for Kubernetes users. They are
// kept in Secrets, for clients that speak SigV4: the AWS CLI, Terraform, and the
// stock agent. What such a user may do, RBAC decides.
package accesskey

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/identity"
)

// SecretType is the type of the Secrets that hold access keys. Secrets of any
// other type are no keys, whatever their name.
const SecretType corev1.SecretType = "podid.dev/access-key"

// The services that a key can be for, as signatures name them.
const (
	UseEKS     = "eks"      // associations
	UseEKSAuth = "eks-auth" // credentials of pods, for the stock agent
)

// The fields of such a Secret. Lists have one entry a line: names of groups may
// have commas.
const (
	fieldID     = "accessKeyId"
	fieldSecret = "secretAccessKey"
	fieldUser   = "user"
	fieldGroups = "groups"
	fieldUses   = "uses"
)

// masters is the group that RBAC is not asked about
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles).
// No access key is worth that much.
const masters = "system:masters"

// authenticated is a group of every user that is not anonymous (same page).
const authenticated = "system:authenticated"

// minSecret is the shortest secret key accepted; AWS's have 40 characters.
const minSecret = 32

// keyID is narrower than IAM's accessKeyIdType (16-128 word characters), so that
// its lower-case form names one key only.
var keyID = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)

// Key is an access key and the user that it stands for.
type Key struct {
	ID     string
	Secret identity.Secret
	User   string
	Groups []string
	Uses   []string // UseEKS, UseEKSAuth
}

// New makes a key with a random id and secret.
func New(user string, groups, uses []string) (Key, error) {
	var secret [30]byte
	rand.Read(secret[:])
	k := Key{
		ID: "AKIA" + rand.Text()[:16], Secret: identity.Secret(base64.RawURLEncoding.EncodeToString(secret[:])),
		User: user, Groups: groups, Uses: uses,
	}
	return k, k.check()
}

// check applies the rules that hold for every key.
func (k Key) check() error {
	switch {
	case !keyID.MatchString(k.ID):
		return fmt.Errorf("%s: want 16-128 upper-case letters and digits", fieldID)
	case len(k.Secret) < minSecret:
		return fmt.Errorf("%s: want at least %d characters", fieldSecret, minSecret)
	case k.User == "" || strings.ContainsAny(k.User, "\r\n"):
		return fmt.Errorf("%s: want the name of a Kubernetes user, on one line", fieldUser)
	case slices.Contains(k.Groups, masters):
		return fmt.Errorf("%s: %s is not given to access keys: bind a role to another group", fieldGroups, masters)
	case slices.ContainsFunc(k.Groups, func(g string) bool { return g == "" || strings.ContainsAny(g, "\r\n") }):
		return fmt.Errorf("%s: want names of groups, each on one line", fieldGroups)
	case len(k.Uses) == 0:
		return fmt.Errorf("%s: want at least one of %s, %s", fieldUses, UseEKS, UseEKSAuth)
	}
	for _, use := range k.Uses {
		if use != UseEKS && use != UseEKSAuth {
			return fmt.Errorf("%s: %q: want %s or %s", fieldUses, use, UseEKS, UseEKSAuth)
		}
	}
	return nil
}

// SecretName returns the name of the Secret of a key, so that finding one needs
// no list.
func SecretName(id string) string { return "access-key-" + strings.ToLower(id) }

// Object returns the Secret that holds k.
func (k Key) Object(namespace string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: SecretName(k.ID), Labels: map[string]string{"app.kubernetes.io/part-of": "podid"}},
		Type:       SecretType,
		Immutable:  new(true),
		Data: map[string][]byte{
			fieldID: []byte(k.ID), fieldSecret: []byte(k.Secret.Reveal()), fieldUser: []byte(k.User),
			fieldGroups: []byte(strings.Join(k.Groups, "\n")), fieldUses: []byte(strings.Join(k.Uses, "\n")),
		},
	}
}

// Parse returns the key in a Secret.
func Parse(s *corev1.Secret) (Key, error) { return read(s, strings.TrimSpace(string(s.Data[fieldID]))) }

// read returns the key of that id in a Secret.
func read(s *corev1.Secret, id string) (Key, error) {
	if s.Type != SecretType {
		return Key{}, fmt.Errorf("its type is %q, not %s", s.Type, SecretType)
	}
	if s.DeletionTimestamp != nil {
		return Key{}, errors.New("it is being deleted")
	}
	k := Key{
		ID: strings.TrimSpace(string(s.Data[fieldID])), Secret: identity.Secret(strings.TrimSpace(string(s.Data[fieldSecret]))),
		User: strings.TrimSpace(string(s.Data[fieldUser])), Groups: lines(s.Data[fieldGroups]), Uses: lines(s.Data[fieldUses]),
	}
	if k.ID != id {
		return Key{}, fmt.Errorf("%s: it is not the key that the Secret is named for", fieldID)
	}
	if err := k.check(); err != nil {
		return Key{}, err
	}
	if !slices.Contains(k.Groups, authenticated) {
		k.Groups = append(k.Groups, authenticated)
	}
	return k, nil
}

// lines returns the lines of text that are not empty.
func lines(text []byte) (found []string) {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			found = append(found, line)
		}
	}
	return found
}
