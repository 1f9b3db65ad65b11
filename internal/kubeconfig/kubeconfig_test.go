package kubeconfig

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/podid/podid/internal/accesskey"
	"github.com/podid/podid/internal/identity"
)

// What needs a real API server is tested in test/kubernetes/server.

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: x}}]
contexts:
- {name: one, context: {cluster: c, user: u, namespace: shop}}
- {name: two, context: {cluster: c, user: u}}
`

func TestOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ context, wantContext, wantNamespace string }{{"", "one", "shop"}, {"two", "two", "default"}} {
		k, err := Open(Config{File: file, Context: c.context})
		if err != nil || k.Context != c.wantContext || k.Namespace != c.wantNamespace {
			t.Errorf("%q: %+v, %v", c.context, k, err)
		}
	}
	if _, err := Open(Config{File: file, Context: "three"}); err == nil || !strings.Contains(err.Error(), "three") {
		t.Errorf("a context that is not there: %v", err)
	}
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	if _, err := Open(Config{}); err == nil || !strings.Contains(err.Error(), "set KUBECONFIG") {
		t.Errorf("no kubeconfig: %v", err)
	}
}

func TestInfo(t *testing.T) {
	stated := map[string]string{"clusterName": "prod", "region": "eu-central-1", "accountID": "111122223333", "firstHop": "service", "accessKeyNamespace": "keys"}
	for name, c := range map[string]struct {
		data  map[string]string // nil: there is no such ConfigMap
		given identity.Cluster
		want  identity.Cluster
		err   string
	}{
		"as podid says":      {data: stated, want: identity.Cluster{Name: "prod", Region: "eu-central-1", AccountID: "111122223333"}},
		"the user knows":     {data: stated, given: identity.Cluster{Region: "us-east-1"}, want: identity.Cluster{Name: "prod", Region: "us-east-1", AccountID: "111122223333"}},
		"the user alone":     {given: identity.Cluster{Name: "a", Region: "b", AccountID: "444455556666"}, want: identity.Cluster{Name: "a", Region: "b", AccountID: "444455556666"}},
		"nobody knows":       {given: identity.Cluster{Name: "a"}, err: "there is no ConfigMap podid-info in namespace podid-system"},
		"no account":         {data: map[string]string{"clusterName": "prod", "region": "r"}, err: "accountID of 12 digits"},
		"a short account":    {data: map[string]string{"clusterName": "prod", "region": "r", "accountID": "123"}, err: "accountID of 12 digits"},
		"an account unknown": {data: stated, given: identity.Cluster{AccountID: "x"}, err: "accountID of 12 digits"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			if c.data != nil {
				m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: DefaultNamespace, Name: infoName}, Data: c.data}
				if err := client.Tracker().Add(m); err != nil {
					t.Fatal(err)
				}
			}
			k := &Cluster{config: Config{PodidNamespace: DefaultNamespace, AWS: c.given}, client: client}
			got, err := k.Info(t.Context())
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil || got.Cluster != c.want || got.AsService != (c.data != nil) {
				t.Errorf("%+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestKeysAreListedWithoutSecrets(t *testing.T) {
	key, err := accesskey.New("jane", []string{"devs"}, []string{accesskey.UseEKSAuth})
	if err != nil {
		t.Fatal(err)
	}
	l := listed(key.Object("keys"))
	if l.ID != key.ID || l.User != "jane" || !slices.Contains(l.Groups, "devs") || l.Broken != "" {
		t.Errorf("%+v", l)
	}
	if text, err := json.Marshal(l); err != nil || strings.Contains(string(text), key.Secret.Reveal()) {
		t.Errorf("the secret is listed: %s, %v", text, err)
	}
	for name, spoil := range map[string]func(*corev1.Secret){
		"its Secret is called":        func(s *corev1.Secret) { s.Name = "other" },
		"not podid.dev/access-key":    func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque },
		"want at least 32 characters": func(s *corev1.Secret) { s.Data["secretAccessKey"] = []byte("short") },
	} {
		s := key.Object("keys")
		spoil(s)
		if l := listed(s); !strings.Contains(l.Broken, name) || l.ID != s.Name {
			t.Errorf("%+v, want %q", l, name)
		}
	}
}

func TestCredentials(t *testing.T) {
	auth, err := accesskey.New("jane", nil, []string{accesskey.UseEKSAuth})
	if err != nil {
		t.Fatal(err)
	}
	eks, err := accesskey.New("jane", nil, []string{accesskey.UseEKS})
	if err != nil {
		t.Fatal(err)
	}
	k := &Cluster{client: fake.NewClientset(auth.Object("keys"), eks.Object("keys"))}
	for name, c := range map[string]struct {
		secret  string
		environ map[string]string
		want    string // the key's id
		err     string
	}{
		"a Secret":             {secret: "keys/" + accesskey.SecretName(auth.ID), want: auth.ID},
		"it counts more":       {secret: "keys/" + accesskey.SecretName(auth.ID), environ: map[string]string{"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}, want: auth.ID},
		"for something else":   {secret: "keys/" + accesskey.SecretName(eks.ID), err: "--use eks-auth"},
		"no such Secret":       {secret: "keys/none", err: "not found"},
		"no namespace":         {secret: "none", err: "NAMESPACE/NAME"},
		"the environment":      {environ: map[string]string{"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}, want: "A"},
		"half of one":          {environ: map[string]string{"AWS_ACCESS_KEY_ID": "A"}, err: "no podid access key"},
		"AWS's own":            {environ: map[string]string{"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B", "AWS_SESSION_TOKEN": "C"}, err: "AWS_SESSION_TOKEN"},
		"an empty environment": {err: "no podid access key"},
	} {
		t.Run(name, func(t *testing.T) {
			provider, err := k.Credentials(t.Context(), c.secret, func(name string) string { return c.environ[name] })
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := provider.Retrieve(t.Context()); err != nil || got.AccessKeyID != c.want {
				t.Errorf("%s, %v", got.AccessKeyID, err)
			}
		})
	}
}

// TestLook: a container lacks what it lacks.
func TestLook(t *testing.T) {
	variables := []corev1.EnvVar{{Name: containerVariables[0], Value: "http://169.254.170.23/v1/credentials"}, {Name: containerVariables[1], Value: "/token"}}
	token := corev1.Volume{Name: "t", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: identity.Audience}},
	}}}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "app", Volumes: []corev1.Volume{token},
			InitContainers: []corev1.Container{{Name: "init", Env: variables[:1]}},
			Containers:     []corev1.Container{{Name: "app", Env: variables}, {Name: "own", Env: append(slices.Clone(variables), corev1.EnvVar{Name: "AWS_ACCESS_KEY_ID"})}},
		},
	}
	look := func(p *corev1.Pod) Mutation {
		k := &Cluster{client: fake.NewClientset(p)}
		m, uid, err := k.Look(t.Context(), "shop", "app", "web")
		if err != nil || uid != "u" {
			t.Fatalf("%s, %v", uid, err)
		}
		return m
	}
	if m := look(pod); !slices.Equal(m.Without, []string{"init"}) || !slices.Equal(m.OwnKeys, []string{"own"}) || m.Controlled {
		t.Errorf("%+v", m)
	}
	without := pod.DeepCopy()
	without.Spec.Volumes = nil
	without.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Controller: new(true)}}
	if m := look(without); !slices.Equal(m.Without, []string{"init", "app", "own"}) || !m.Controlled {
		t.Errorf("without the token: %+v", m)
	}
	k := &Cluster{client: fake.NewClientset(pod)}
	if _, _, err := k.Look(t.Context(), "shop", "other", "web"); err == nil || !strings.Contains(err.Error(), "runs as service account app, not other") {
		t.Errorf("of another service account: %v", err)
	}
}

// TestReplica: only a ready pod of the server is one to forward a port to.
func TestReplica(t *testing.T) {
	made := func(name, component string, ready corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "podid-system", Name: name, UID: "u", Labels: map[string]string{"app.kubernetes.io/name": "podid", "app.kubernetes.io/component": component}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "probes", ContainerPort: 1}, {Name: "api", ContainerPort: 4242}}}}},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	k := &Cluster{config: Config{PodidNamespace: DefaultNamespace}, client: fake.NewClientset(made("starting", "server", corev1.ConditionFalse), made("agent", "agent", corev1.ConditionTrue))}
	if p, err := k.replica(t.Context()); err == nil || !strings.Contains(err.Error(), "no pod of podid's server is ready") {
		t.Errorf("%v, %v", p, err)
	}
	k.client = fake.NewClientset(made("starting", "server", corev1.ConditionFalse), made("one", "server", corev1.ConditionTrue))
	p, err := k.replica(t.Context())
	if err != nil || p.Name != "one" || portOf(p) != 4242 || k.isGone(t.Context(), p) {
		t.Errorf("%v, %v", p, err)
	}
	if portOf(&corev1.Pod{}) != 8443 {
		t.Error("a pod that names no port")
	}
	again := p.DeepCopy()
	again.UID = "another"
	gone := p.DeepCopy()
	gone.Name = "gone"
	starting := made("starting", "server", corev1.ConditionFalse)
	for _, p := range []*corev1.Pod{again, gone, starting} {
		if !k.isGone(t.Context(), p) {
			t.Errorf("%s %s is not gone", p.Name, p.UID)
		}
	}
}
