package accesskey

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/sigv4"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// secrets is a namespace's Secrets by name. The real one is in test/kubernetes.
type secrets struct {
	byName map[string]*corev1.Secret
	err    error
	asked  []string
}

func (s *secrets) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Secret, error) {
	s.asked = append(s.asked, name)
	if s.err != nil {
		return nil, s.err
	}
	found, ok := s.byName[name]
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
	}
	return found, nil
}

func newKey(t testing.TB) (Key, *secrets) {
	t.Helper()
	k, err := New("alice", []string{"cn=platform,ou=teams", "dev"}, []string{UseEKS})
	if err != nil {
		t.Fatal(err)
	}
	object := k.Object("podid-system")
	return k, &secrets{byName: map[string]*corev1.Secret{object.Name: object}}
}

func signed(t *testing.T, id, secret, session, service, region string) *http.Request {
	t.Helper()
	body := []byte(`{"x":1}`)
	r := httptest.NewRequest("POST", "http://podid.example/clusters/c/pod-identity-associations", bytes.NewReader(body))
	sum := sha256.Sum256(body)
	err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session}, r, hex.EncodeToString(sum[:]), service, region, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newVerifier(t *testing.T, s Secrets, log *bytes.Buffer) *Verifier {
	t.Helper()
	v, err := NewVerifier(Config{Secrets: s, Region: "us-west-2", Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	k, s := newKey(t)
	got, service, err := newVerifier(t, s, new(bytes.Buffer)).Verify(signed(t, k.ID, k.Secret.Reveal(), "", "eks", "us-west-2"))
	if err != nil {
		t.Fatal(err)
	}
	if got.User != "alice" || !slices.Equal(got.Groups, []string{"cn=platform,ou=teams", "dev", "system:authenticated"}) || service != "eks" {
		t.Errorf("got %s in %v for %s", got.User, got.Groups, service)
	}
	// Deleted, the key is dead at once.
	clear(s.byName)
	if _, _, err := newVerifier(t, s, new(bytes.Buffer)).Verify(signed(t, k.ID, k.Secret.Reveal(), "", "eks", "us-west-2")); failure(err) != sigv4.UnknownKey {
		t.Errorf("after its Secret was deleted: %v", err)
	}
}

func failure(err error) sigv4.Failure {
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return e.Failure
	}
	return -1
}

func TestVerifyRefuses(t *testing.T) {
	const good = ""
	for name, c := range map[string]struct {
		id, secret, session, service, region string // good: the right one
		change                               func(*corev1.Secret)
		want                                 sigv4.Failure
	}{
		"wrong secret":                {secret: strings.Repeat("x", 40), want: sigv4.Mismatch},
		"unknown key":                 {id: "AKIAZZZZZZZZZZZZZZZZ", want: sigv4.UnknownKey},
		"another service":             {service: "sts", want: sigv4.WrongScope},
		"a use it has not":            {service: "eks-auth", want: sigv4.WrongScope},
		"another region":              {region: "eu-west-1", want: sigv4.WrongScope},
		"a session token":             {session: "t", want: sigv4.InvalidSessionToken},
		"a path for an id":            {id: "../../podid-tls/AKIA", want: sigv4.Incomplete},
		"an id in lower case":         {id: "akiaaaaaaaaaaaaaaaaa", want: sigv4.UnknownKey},
		"a Secret of another type":    {change: func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, want: sigv4.UnknownKey},
		"a Secret on its way out":     {change: func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: now} }, want: sigv4.UnknownKey},
		"another key's Secret":        {change: func(s *corev1.Secret) { s.Data["accessKeyId"] = []byte("AKIAOTHERAAAAAAAAAAA") }, want: sigv4.UnknownKey},
		"no secret":                   {change: func(s *corev1.Secret) { delete(s.Data, "secretAccessKey") }, want: sigv4.UnknownKey},
		"a short secret":              {change: func(s *corev1.Secret) { s.Data["secretAccessKey"] = []byte("short") }, want: sigv4.UnknownKey},
		"no user":                     {change: func(s *corev1.Secret) { delete(s.Data, "user") }, want: sigv4.UnknownKey},
		"no uses":                     {change: func(s *corev1.Secret) { delete(s.Data, "uses") }, want: sigv4.UnknownKey},
		"the group RBAC does not ask": {change: func(s *corev1.Secret) { s.Data["groups"] = []byte("dev\nsystem:masters\n") }, want: sigv4.UnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			k, s := newKey(t)
			or := func(value, byDefault string) string {
				if value == good {
					return byDefault
				}
				return value
			}
			if c.change != nil {
				c.change(s.byName[SecretName(k.ID)])
			}
			var log bytes.Buffer
			r := signed(t, or(c.id, k.ID), or(c.secret, k.Secret.Reveal()), c.session, or(c.service, "eks"), or(c.region, "us-west-2"))
			got, _, err := newVerifier(t, s, &log).Verify(r)
			if failure(err) != c.want || got.User != "" {
				t.Errorf("got %q, %v, want %v", got.User, err, c.want)
			}
			if strings.Contains(log.String(), k.Secret.Reveal()) {
				t.Error("the secret was logged")
			}
			for _, asked := range s.asked {
				if !strings.HasPrefix(asked, "access-key-") || strings.ContainsAny(asked, "/.") {
					t.Errorf("asked for the Secret %q", asked)
				}
			}
		})
	}
}

func TestAnAPIServerThatIsAwayIsNoRefusal(t *testing.T) {
	k, s := newKey(t)
	s.err = errors.New("connection refused")
	_, _, err := newVerifier(t, s, new(bytes.Buffer)).Verify(signed(t, k.ID, k.Secret.Reveal(), "", "eks", "us-west-2"))
	if identity.KindOf(err) != identity.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		user         string
		groups, uses []string
	}{
		"no user":         {"", nil, []string{UseEKS}},
		"two lines":       {"a\nb", nil, []string{UseEKS}},
		"masters":         {"a", []string{"system:masters"}, []string{UseEKS}},
		"group of lines":  {"a", []string{"b\nsystem:masters"}, []string{UseEKS}},
		"no uses":         {"a", nil, nil},
		"use of a bucket": {"a", nil, []string{"s3"}},
	} {
		if _, err := New(c.user, c.groups, c.uses); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewVerifier(Config{}); err == nil {
		t.Error("an empty Config was accepted")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("AKIAAAAAAAAAAAAAAAAA", strings.Repeat("s", 40), "alice", "a\nb", "eks")
	f.Add("akia", "", "\n", "system:masters", "eks\neks-auth")
	f.Fuzz(func(t *testing.T, id, secret, user, groups, uses string) {
		s := &corev1.Secret{Type: SecretType, Data: map[string][]byte{
			"accessKeyId": []byte(id), "secretAccessKey": []byte(secret), "user": []byte(user), "groups": []byte(groups), "uses": []byte(uses),
		}}
		k, err := read(s, id)
		if err == nil && (k.User == "" || len(k.Secret) < minSecret || slices.Contains(k.Groups, "system:masters") || len(k.Uses) == 0 || k.ID != id) {
			t.Errorf("%+v", k)
		}
	})
}
