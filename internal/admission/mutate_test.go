package admission

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the one that the API server applies patches with
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var usWest2 = Settings{Region: "us-west-2", RegionalSTS: true}

func parsePod(t testing.TB, text []byte) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := yaml.Unmarshal(text, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// apply changes the pod as the API server would.
func apply(t testing.TB, podJSON []byte, p Patch) []byte {
	t.Helper()
	if p == nil {
		return podJSON
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := patch.Apply(podJSON)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

func tree(t testing.TB, text []byte) (out any) {
	t.Helper()
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMutate(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/mutate.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range archive.Files {
		files[f.Name] = f.Data
	}
	for _, f := range archive.Files {
		want, changes := files[f.Name+".want"]
		_, stays := files[f.Name+".same"]
		if !changes && !stays {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			text := f.Data
			if !strings.Contains(string(text), "metadata:") { // which every pod has that an API server sends
				text = append([]byte("metadata: {}\n"), text...)
			}
			pod, err := yaml.YAMLToJSON(text)
			if err != nil {
				t.Fatal(err)
			}
			change := Mutate(parsePod(t, pod), nil, usWest2, 0)
			if stays {
				if change.Patch != nil {
					t.Errorf("it is changed: %v", change.Patch)
				}
				return
			}
			out := apply(t, pod, change.Patch)
			if diff := cmp.Diff(tree(t, want), tree(t, out)); diff != "" {
				t.Errorf("it comes out otherwise (-want +got):\n%s", diff)
			}
			if again := Mutate(parsePod(t, out), nil, usWest2, .9); again.Patch != nil {
				t.Errorf("what was changed is changed again: %v", again.Patch)
			}
		})
	}
}

func TestTokenExpiration(t *testing.T) {
	const none = ""
	for _, test := range []struct {
		pod, account string
		setting      int64
		chance       float64
		want         int64
	}{
		{none, none, 0, 0, 79200},
		{none, none, 0, .5, 82800},
		{none, none, 0, .99999, 86400},
		{"86400", none, 0, 0, 79200}, // asked for or not, the default is spread
		{none, "86400", 3600, 0, 79200},
		{"3600", none, 0, .5, 3600},
		{none, "3600", 0, .5, 3600},
		{"7200", "3600", 1800, .5, 7200},
		{none, none, 1800, .5, 1800},
		{"1", none, 0, .5, 600},
		{"-5", "3600", 0, .5, 600},
		{none, none, 1, .5, 600},
		{"99999999999999", none, 0, .5, 1 << 32},
		{"an hour", "3600", 0, .5, 3600},
		{"an hour", "1e3", 1800, .5, 1800},
		{"99999999999999999999", none, 1800, .5, 1800},
	} {
		pod := &corev1.Pod{}
		account := map[string]string{}
		if test.pod != none {
			pod.Annotations = map[string]string{tokenExpiration: test.pod}
		}
		if test.account != none {
			account[tokenExpiration] = test.account
		}
		v := Settings{TokenExpiration: test.setting}.volume(pod, account, test.chance)
		if got := *v.Projected.Sources[0].ServiceAccountToken.ExpirationSeconds; got != test.want {
			t.Errorf("pod %q, service account %q, setting %d: %d seconds, want %d", test.pod, test.account, test.setting, got, test.want)
		}
	}
}

func TestVariables(t *testing.T) {
	regional := map[string]string{regionalEndpoints: "true"}
	global := map[string]string{regionalEndpoints: "False"}
	nonsense := map[string]string{regionalEndpoints: "perhaps"}
	for name, test := range map[string]struct {
		settings Settings
		account  map[string]string
		want     string
	}{
		"nothing set":        {Settings{}, nil, uriVariable + "=" + CredentialsURI},
		"IPv6":               {Settings{CredentialsURI: CredentialsURIv6}, nil, uriVariable + "=http://[fd00:ec2::23]/v1/credentials"},
		"region":             {Settings{Region: "r"}, nil, "AWS_DEFAULT_REGION=r AWS_REGION=r " + uriVariable + "=" + CredentialsURI},
		"by the account":     {Settings{}, regional, "AWS_STS_REGIONAL_ENDPOINTS=regional " + uriVariable + "=" + CredentialsURI},
		"not by the account": {Settings{RegionalSTS: true}, global, uriVariable + "=" + CredentialsURI},
		"nonsense":           {Settings{RegionalSTS: true}, nonsense, "AWS_STS_REGIONAL_ENDPOINTS=regional " + uriVariable + "=" + CredentialsURI},
	} {
		var got []string
		for _, v := range test.settings.variables(&corev1.Pod{}, test.account) {
			got = append(got, v.Name+"="+v.Value)
		}
		want := test.want + " " + tokenFileVariable + "=/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	pod := parsePod(t, []byte(`
spec:
  os: {name: windows}
  containers:
  - {name: keys, env: [{name: AWS_ACCESS_KEY_ID, value: x}]}
  - {name: web, env: [{name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /my/token}]}
  - {name: ecs, env: [{name: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, value: /x}]}
  - {name: mount, volumeMounts: [{name: own, mountPath: /var/run/secrets/pods.eks.amazonaws.com/serviceaccount}]}
  - {name: fine}
`))
	got := strings.Join(Mutate(pod, nil, Settings{}, 0).Warnings, "\n")
	for _, want := range []string{"container keys sets AWS_ACCESS_KEY_ID", "container web sets AWS_WEB_IDENTITY", "container ecs sets", "container mount mounts", "Windows"} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "fine") || strings.Contains(got, "IRSA") {
		t.Errorf("a warning of what is well:\n%s", got)
	}
}

// FuzzMutate tries pods of every make: the patch applies, what was there stays,
// and a second look finds nothing to do.
func FuzzMutate(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/mutate.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		if pod, err := yaml.YAMLToJSON(file.Data); err == nil {
			f.Add(pod, "3600", .5)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, expiration string, chance float64) {
		pod := &corev1.Pod{}
		if json.Unmarshal(raw, pod) != nil || !(chance >= 0 && chance < 1) {
			return
		}
		pod.APIVersion, pod.Kind = "v1", "Pod"
		before, err := json.Marshal(pod) // as an API server would write it
		if err != nil {
			return
		}
		change := Mutate(pod, map[string]string{tokenExpiration: expiration}, usWest2, chance)
		after := parsePod(t, apply(t, before, change.Patch))
		if again := Mutate(after, nil, usWest2, 0); again.Patch != nil {
			t.Errorf("changed again: %v", again.Patch)
		}
		for i, c := range pod.Spec.Containers {
			for _, v := range c.Env {
				if !slices.ContainsFunc(after.Spec.Containers[i].Env, func(w corev1.EnvVar) bool { return w.Name == v.Name && w.Value == v.Value }) && !injectedIRSA(c) {
					t.Errorf("variable %q of container %q is gone", v.Name, c.Name)
				}
			}
		}
	})
}
