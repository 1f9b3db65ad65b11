package devenv

import (
	"strings"
	"testing"
)

const smallWorld = `accounts:
  - id: "111122223333"
    roles:
      - name: r
        trust: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: pods.eks.amazonaws.com}, Action: "sts:AssumeRole"}]}
clusters:
  - {name: c, account: "111122223333", region: us-west-2}
`

func TestParseWorld(t *testing.T) {
	w, err := ParseWorld("w", []byte(smallWorld))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	if got := string(w.Accounts[0].Roles[0].Trust); got != want {
		t.Errorf("the trust policy became %s", got)
	}
}

// TestWorldErrors wants each mistake reported with its line and field.
func TestWorldErrors(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"unknown field":    {"    roles:", "    rolls:", "w:3: unknown field rolls"},
		"wrong type":       {`region: us-west-2`, `region: [x]`, "w:7:"},
		"account id":       {`"111122223333"` + "\n    roles", `"1111"` + "\n    roles", "w:2: accounts[0].id:"},
		"cluster account":  {`account: "111122223333"`, `account: "999922223333"`, "w:7: clusters[0].account:"},
		"region":           {"us-west-2", "somewhere", "w:7: clusters[0].region:"},
		"role name":        {"name: r\n", "name: r r\n", "w:4: accounts[0].roles[0].name:"},
		"policy":           {"Effect: Allow", "Effect: Perhaps", "w:5: accounts[0].roles[0].trust:"},
		"duplicate key":    {"clusters:", "accounts: []\nclusters:", "already defined"},
		"no clusters":      {`  - {name: c, account: "111122223333", region: us-west-2}` + "\n", "", "clusters:"},
		"tab":              {"  - id", "\t- id", "w:2:"},
		"second document":  {"clusters:", "---\nclusters:", "w:"},
		"unquoted account": {`- id: "111122223333"`, `- id: 0111122223333`, "accounts[0].id"},
	} {
		if !strings.Contains(smallWorld, c.from) {
			t.Fatalf("%s: the world has no %q", name, c.from)
		}
		_, err := ParseWorld("w", []byte(strings.Replace(smallWorld, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ParseWorld("w", nil); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
}

func FuzzParseWorld(f *testing.F) {
	f.Add(smallWorld)
	f.Add(string(defaultWorld))
	f.Add("accounts: &a [*a]")
	f.Add("accounts: [{id: !!binary x}]")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWorld("w", []byte(text))
		if err == nil && (len(w.Accounts) == 0 || len(w.Clusters) == 0) {
			t.Error("a world without accounts or clusters was taken")
		}
	})
}
