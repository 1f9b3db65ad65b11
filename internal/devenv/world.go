package devenv

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// defaultWorld is the example of the EKS user guide: a cluster and a Pod
// Identity role in one account, a target role and a bucket in another.
//
//go:embed default.yaml
var defaultWorld []byte

// maxWorld bounds a world file: 10,000 roles with their policies fit well.
const maxWorld = 64 << 20

// World is what a world file describes. docs/world.md is its reference.
type World struct {
	Accounts     []worldAccount     `yaml:"accounts"`
	Organization *worldOrganization `yaml:"organization"`
	Clusters     []worldCluster     `yaml:"clusters"`
	Associations []worldAssociation `yaml:"associations"`

	text []byte // as it was read
}

type worldAccount struct {
	ID            string               `yaml:"id"`
	Name          string               `yaml:"name"`
	Users         []worldUser          `yaml:"users"`
	Roles         []worldRole          `yaml:"roles"`
	Policies      []worldManagedPolicy `yaml:"policies"`
	Buckets       []worldBucket        `yaml:"buckets"`
	OIDCProviders []worldOIDCProvider  `yaml:"oidcProviders"`
}

type worldUser struct {
	Name                string              `yaml:"name"`
	Path                string              `yaml:"path"`
	Policies            map[string]document `yaml:"policies"`
	ManagedPolicies     []string            `yaml:"managedPolicies"`
	PermissionsBoundary string              `yaml:"permissionsBoundary"`
	Tags                map[string]string   `yaml:"tags"`
	AccessKeys          []worldAccessKey    `yaml:"accessKeys"`
}

type worldAccessKey struct {
	ID     string `yaml:"id"`
	Secret string `yaml:"secret"`
}

type worldRole struct {
	Name                string              `yaml:"name"`
	Path                string              `yaml:"path"`
	Description         string              `yaml:"description"`
	Trust               document            `yaml:"trust"`
	Policies            map[string]document `yaml:"policies"`
	ManagedPolicies     []string            `yaml:"managedPolicies"`
	PermissionsBoundary string              `yaml:"permissionsBoundary"`
	Tags                map[string]string   `yaml:"tags"`
	MaxSessionDuration  int                 `yaml:"maxSessionDuration"` // seconds
}

type worldManagedPolicy struct {
	Name   string   `yaml:"name"`
	Path   string   `yaml:"path"`
	Policy document `yaml:"policy"`
}

type worldBucket struct {
	Name    string            `yaml:"name"`
	Region  string            `yaml:"region"`
	Policy  document          `yaml:"policy"`
	Objects map[string]string `yaml:"objects"`
}

type worldOIDCProvider struct {
	URL         string   `yaml:"url"`
	Cluster     string   `yaml:"cluster"` // instead of url: the issuer of a cluster of this world
	ClientIDs   []string `yaml:"clientIds"`
	Thumbprints []string `yaml:"thumbprints"`
}

type worldOrganization struct {
	ManagementAccount string              `yaml:"managementAccount"`
	SCPs              map[string]document `yaml:"serviceControlPolicies"`
	RCPs              map[string]document `yaml:"resourceControlPolicies"`
	Accounts          []worldMember       `yaml:"accounts"`
	Units             []worldUnit         `yaml:"units"`
}

type worldUnit struct {
	Name     string              `yaml:"name"`
	SCPs     map[string]document `yaml:"serviceControlPolicies"`
	RCPs     map[string]document `yaml:"resourceControlPolicies"`
	Accounts []worldMember       `yaml:"accounts"`
	Units    []worldUnit         `yaml:"units"`
}

type worldMember struct {
	ID   string              `yaml:"id"`
	SCPs map[string]document `yaml:"serviceControlPolicies"`
	RCPs map[string]document `yaml:"resourceControlPolicies"`
}

type worldCluster struct {
	Name            string                `yaml:"name"`
	Account         string                `yaml:"account"`
	Region          string                `yaml:"region"`
	Version         string                `yaml:"version"`
	ServiceAccounts []worldServiceAccount `yaml:"serviceAccounts"`
}

type worldServiceAccount struct {
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
}

type worldAssociation struct {
	Cluster            string            `yaml:"cluster"`
	Namespace          string            `yaml:"namespace"`
	ServiceAccount     string            `yaml:"serviceAccount"`
	RoleARN            string            `yaml:"roleArn"`
	TargetRoleARN      string            `yaml:"targetRoleArn"`
	DisableSessionTags bool              `yaml:"disableSessionTags"`
	Policy             document          `yaml:"policy"`
	Tags               map[string]string `yaml:"tags"`
}

// document is a policy: JSON in a string, or the same written as YAML.
type document string

func (d *document) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*d = document(n.Value)
		return nil
	}
	var b bytes.Buffer
	if err := writeJSON(&b, n, 0); err != nil {
		return err
	}
	*d = document(b.String())
	return nil
}

// writeJSON keeps the order of members, which a map would lose.
func writeJSON(b *bytes.Buffer, n *yaml.Node, depth int) error {
	if depth > 32 {
		return fmt.Errorf("line %d: a policy nests at most 32 levels", n.Line)
	}
	list := func(open, end byte, step int, item func(i int) error) error {
		b.WriteByte(open)
		for i := 0; i < len(n.Content); i += step {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := item(i); err != nil {
				return err
			}
		}
		b.WriteByte(end)
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return list('{', '}', 2, func(i int) error {
			key, err := json.Marshal(n.Content[i].Value)
			if err != nil {
				return err
			}
			b.Write(key)
			b.WriteByte(':')
			return writeJSON(b, n.Content[i+1], depth+1)
		})
	case yaml.SequenceNode:
		return list('[', ']', 1, func(i int) error { return writeJSON(b, n.Content[i], depth+1) })
	case yaml.ScalarNode:
		// Values stay as they are written: a policy's numbers and dates are strings to IAM.
		if n.Tag == "!!bool" || n.Tag == "!!int" {
			b.WriteString(strings.ToLower(n.Value))
			return nil
		}
		value, err := json.Marshal(n.Value)
		b.Write(value)
		return err
	}
	return fmt.Errorf("line %d: a policy takes mappings, lists and plain values, no anchors", n.Line)
}

// DefaultWorld returns the example of the EKS user guide.
func DefaultWorld() (*World, error) { return ParseWorld("default world", defaultWorld) }

// ReadWorld reads and checks a world file. Every problem is reported, each with
// its line and field.
func ReadWorld(path string) (*World, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("world file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxWorld+1))
	if err != nil {
		return nil, fmt.Errorf("world file: %w", err)
	}
	if len(text) > maxWorld {
		return nil, fmt.Errorf("world file %s: larger than %d bytes", path, maxWorld)
	}
	return ParseWorld(path, text)
}

// ParseWorld reads a world from text; name stands for the file in errors.
func ParseWorld(name string, text []byte) (*World, error) {
	w := &World{text: text}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(w); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: the world is empty: it needs at least accounts and clusters", name)
		}
		return nil, yamlErrors(name, err)
	}
	if err := dec.Decode(new(World)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one YAML document in the file", name)
	}
	problems := w.problems()
	if len(problems) == 0 {
		return w, nil
	}
	var root yaml.Node // for their lines alone: it is half of the time that reading takes
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, yamlErrors(name, err)
	}
	var all []error
	for _, p := range problems {
		all = append(all, fmt.Errorf("%s:%d: %s: %s", name, lineOf(&root, p.path), p.path, p.text))
	}
	return w, errors.Join(all...)
}

var (
	goTypeName  = regexp.MustCompile(` in type devenv\.(\w+)`)
	intoGoType  = regexp.MustCompile(` into (\[\]|map\[string\])?(devenv\.)?(\w+)`)
	leadingLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
)

// yamlErrors puts the decoder's errors into the form FILE:LINE: text, without Go's names of types.
func yamlErrors(name string, err error) error {
	texts := []string{err.Error()}
	if e, ok := errors.AsType[*yaml.TypeError](err); ok {
		texts = e.Errors
	}
	var all []error
	for _, text := range texts {
		text = goTypeName.ReplaceAllString(text, "")
		text = strings.Replace(text, "field ", "unknown field ", 1)
		text = strings.Replace(text, " not found", "", 1)
		text = intoGoType.ReplaceAllStringFunc(text, func(m string) string {
			switch {
			case strings.Contains(m, "[]"):
				return ": want a list"
			case strings.Contains(m, "map["), strings.Contains(m, "devenv."):
				return ": want a mapping"
			}
			return ": want a value of type " + strings.TrimPrefix(m, " into ")
		})
		text = leadingLine.ReplaceAllString(text, "$1: ")
		all = append(all, fmt.Errorf("%s:%s", name, text))
	}
	return errors.Join(all...)
}

// lineOf finds the line of a path such as accounts[0].roles[1].trust, or of
// its nearest ancestor that is written in the file.
func lineOf(root *yaml.Node, path string) int {
	n := root
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	line := max(n.Line, 1)
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := (*yaml.Node)(nil)
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					line, next = n.Content[i].Line, n.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(step); err == nil && i < len(n.Content) {
				next = n.Content[i]
				line = next.Line
			}
		}
		if next == nil {
			return line
		}
		n = next
	}
	return line
}
