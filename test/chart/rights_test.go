package chart_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/test/chart"
)

// right is one verb that a service account has.
type right struct{ where, group, resource, name, verb string }

// places are the namespaces of the defaults, as docs/security.md calls them.
var places = map[string]string{
	"": "cluster", chart.Namespace: "server's namespace", "podid-agent": "agents' namespace", "podid-access-keys": "access keys' namespace",
}

// everybody is what every user that the API server knows may read, as
// docs/security.md says.
var everybody = []right{
	{"server's namespace", "", "configmaps", "podid-info", "get"}, {"agents' namespace", "", "configmaps", "podid-ca", "get"},
}

// TestRights: the server has the rights that docs/security.md gives the reasons
// for, no more and no less, and the agent has none, but for what everybody has.
func TestRights(t *testing.T) {
	for mode, text := range map[string]string{"own": "", "certManager": "tls: {mode: certManager, issuerRef: {name: internal}}\n"} {
		t.Run(mode, func(t *testing.T) {
			objects := decode(t, render(t, least+text))
			documented := documentedRights(t, mode == "own")
			given, agent := rightsOf(t, objects, "podid", chart.Namespace), rightsOf(t, objects, "podid-agent", "podid-agent")
			for _, r := range everybody {
				if !given[r] || !agent[r] {
					t.Errorf("not everybody may %s", r)
				}
				if !documented[r] {
					delete(given, r)
				}
				delete(agent, r)
			}
			for r := range given {
				if !documented[r] {
					t.Errorf("the server may %s, for which docs/security.md gives no reason", r)
				}
			}
			for r := range documented {
				if !given[r] {
					t.Errorf("docs/security.md has a reason for the server to %s, which it may not", r)
				}
			}
			if len(agent) > 0 {
				t.Errorf("the agent has rights: %v", agent)
			}
		})
	}
}

func (r right) String() string {
	return fmt.Sprintf("%s %s.%s %q in the %s", r.verb, r.resource, r.group, r.name, r.where)
}

// object has what roles, cluster roles and their bindings have.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Rules    []rbacv1.PolicyRule `json:"rules"`
	RoleRef  rbacv1.RoleRef      `json:"roleRef"`
	Subjects []rbacv1.Subject    `json:"subjects"`
}

func decode(t *testing.T, rendered string) (all []object) {
	t.Helper()
	for text := range strings.SplitSeq(rendered, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			// Other kinds have other rules.
			o = object{}
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "rules:", "others:")), &o); err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
		}
		all = append(all, o)
	}
	return all
}

// rightsOf expands all that is bound to a service account, by name or by a group
// that all service accounts have.
func rightsOf(t *testing.T, objects []object, account, namespace string) map[right]bool {
	t.Helper()
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated", "system:unauthenticated"}
	rights := map[right]bool{}
	for _, binding := range objects {
		if !strings.HasSuffix(binding.Kind, "RoleBinding") || !slices.ContainsFunc(binding.Subjects, func(s rbacv1.Subject) bool {
			return s.Kind == "ServiceAccount" && s.Name == account && s.Namespace == namespace ||
				s.Kind == "Group" && slices.Contains(groups, s.Name) || s.Kind == "User" && s.Name == "system:serviceaccount:"+namespace+":"+account
		}) {
			continue
		}
		i := slices.IndexFunc(objects, func(o object) bool {
			return o.Kind == binding.RoleRef.Kind && o.Metadata.Name == binding.RoleRef.Name &&
				(o.Kind == "ClusterRole" || o.Metadata.Namespace == binding.Metadata.Namespace)
		})
		if i < 0 {
			t.Fatalf("%s %s binds %s, which is not of the chart", binding.Kind, binding.Metadata.Name, binding.RoleRef.Name)
		}
		for _, rule := range objects[i].Rules {
			for r := range expand(places[binding.Metadata.Namespace], rule) {
				rights[r] = true
			}
		}
	}
	return rights
}

func expand(where string, rule rbacv1.PolicyRule) map[right]bool {
	rights := map[right]bool{}
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, verb := range rule.Verbs {
		for _, url := range rule.NonResourceURLs {
			rights[right{where, "", url, "", verb}] = true
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					rights[right{where, group, resource, name, verb}] = true
				}
			}
		}
	}
	return rights
}

// documentedRights reads the table of docs/security.md.
func documentedRights(t *testing.T, own bool) map[right]bool {
	t.Helper()
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "<!-- rights: read by test/chart -->\n")
	if !found {
		t.Fatal("docs/security.md has no table of rights")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rights := map[right]bool{}
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 7 {
			t.Fatalf("not seven cells: %s", line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[6] == "" {
			t.Errorf("no reason: %s", line)
		}
		if cells[5] != "" && cells[5] != "own" {
			t.Errorf("what is %q: %s", cells[5], line)
		}
		if cells[5] == "own" && !own {
			continue
		}
		for verb := range strings.SplitSeq(cells[4], ", ") {
			rights[right{cells[0], cells[1], cells[2], cells[3], verb}] = true
		}
	}
	return rights
}
