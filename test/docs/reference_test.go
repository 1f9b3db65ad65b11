package docs

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	yamlnode "go.yaml.in/yaml/v3"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/internal/devenv"
)

var update = flag.Bool("update", false, "write the generated pages of docs/reference")

// generated wants a page to be what was made of the code; make generate writes it.
func generated(t *testing.T, page, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join(top, page), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, page); got != want {
		t.Errorf("%s is not what make generate writes", page)
	}
}

// cell is text for a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

const crdIntroduction = `<!-- Written by make generate from charts/podid/crds. -->
# The custom resource

%s

` + "`kubectl explain pia.spec`" + ` says the same in a cluster. How to use it is in [associations.md](../associations.md).
`

func TestReferenceOfCRD(t *testing.T) {
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.UnmarshalStrict([]byte(read(t, "charts/podid/crds/podid.dev_podidentityassociations.yaml")), &crd); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, version := range crd.Spec.Versions {
		schema := version.Schema.OpenAPIV3Schema
		fmt.Fprintf(&b, crdIntroduction, cell(schema.Description))
		fmt.Fprintf(&b, "\n`%s/%s`, kind `%s`, short name `%s`, %s.\n", crd.Spec.Group, version.Name, crd.Spec.Names.Kind,
			strings.Join(crd.Spec.Names.ShortNames, "`, `"), strings.ToLower(string(crd.Spec.Scope)))
		for _, part := range []string{"spec", "status"} {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| field | type | | rules |\n|---|---|---|---|\n", part, cell(schema.Properties[part].Description))
			fields(&b, "", schema.Properties[part])
		}
		b.WriteString("\n## Columns\n\nWhat `kubectl get pia` prints; those marked with `-o wide` only then.\n\n| column | | |\n|---|---|---|\n")
		for _, column := range version.AdditionalPrinterColumns {
			wide := ""
			if column.Priority > 0 {
				wide = "`-o wide`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", column.Name, cell(cmp.Or(column.Description, "`"+column.JSONPath+"`")), wide)
		}
	}
	generated(t, "docs/reference/crd.md", b.String())
}

// fields writes a row for each field below an object of a schema.
func fields(b *strings.Builder, path string, object apiextensions.JSONSchemaProps) {
	for _, name := range slices.Sorted(maps.Keys(object.Properties)) {
		field := object.Properties[name]
		kind := field.Type
		switch {
		case field.Format != "":
			kind = field.Format
		case field.Items != nil:
			kind = "array of " + field.Items.Schema.Type
		case field.AdditionalProperties != nil:
			kind = "map of " + field.AdditionalProperties.Schema.Type
		}
		var rules []string
		if slices.Contains(object.Required, name) {
			rules = append(rules, "required")
		}
		if field.Default != nil {
			rules = append(rules, "default `"+string(field.Default.Raw)+"`")
		}
		if field.MinLength != nil && *field.MinLength > 0 {
			rules = append(rules, fmt.Sprintf("%d characters or more", *field.MinLength))
		}
		if field.MaxLength != nil {
			rules = append(rules, fmt.Sprintf("%d characters at most", *field.MaxLength))
		}
		if field.MaxProperties != nil {
			rules = append(rules, fmt.Sprintf("%d at most", *field.MaxProperties))
		}
		if field.Pattern != "" {
			rules = append(rules, "`"+field.Pattern+"`")
		}
		for _, rule := range field.XValidations {
			rules = append(rules, rule.Message)
		}
		for _, value := range field.Enum {
			rules = append(rules, "`"+string(value.Raw)+"`")
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", path, name, kind, cell(field.Description), cell(strings.Join(rules, "; ")))
		if len(field.Properties) > 0 {
			fields(b, path+name+".", field)
		}
		if field.Items != nil && len(field.Items.Schema.Properties) > 0 {
			fields(b, path+name+"[].", *field.Items.Schema)
		}
	}
}

const helmIntroduction = `<!-- Written by make generate from charts/podid/values.yaml and its schema. -->
# Helm values

Of the chart in [charts/podid](../../charts/podid). Those that an installation cannot do without are ` + "`cluster.name`, `cluster.region` and `cluster.accountID`" + `;
[Install](../install/README.md) says what the others are for.

| value | default | | allowed |
|---|---|---|---|
`

// schema is what is needed of a JSON schema.
type schema struct {
	Type        any               `json:"type"`
	Pattern     string            `json:"pattern"`
	Enum        []any             `json:"enum"`
	Minimum     *float64          `json:"minimum"`
	Description string            `json:"description"`
	Properties  map[string]schema `json:"properties"`
}

func TestReferenceOfHelm(t *testing.T) {
	var values yamlnode.Node
	if err := yamlnode.Unmarshal([]byte(read(t, "charts/podid/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	var allowed schema
	if err := json.Unmarshal([]byte(read(t, "charts/podid/values.schema.json")), &allowed); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(helmIntroduction)
	settings(t, &b, "", values.Content[0], allowed)
	generated(t, "docs/reference/helm.md", b.String())
}

// settings writes a row for each value that is not a group of others.
func settings(t *testing.T, b *strings.Builder, path string, group *yamlnode.Node, allowed schema) {
	t.Helper()
	for i := 0; i < len(group.Content); i += 2 {
		key, value := group.Content[i], group.Content[i+1]
		name := path + key.Value
		field, known := allowed.Properties[key.Value]
		if !known {
			t.Errorf("values.schema.json does not know %s", name)
		}
		comment := cell(plainComment(key.HeadComment))
		if value.Kind == yamlnode.MappingNode && len(field.Properties) > 0 {
			if comment != "" {
				fmt.Fprintf(b, "| **`%s`** | | %s | |\n", name, comment)
			}
			settings(t, b, name+".", value, field)
			continue
		}
		text, err := yamlnode.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.TrimSpace(string(text)) // with the comments, which are said already
		if at := strings.LastIndex(plain, "\n"); at >= 0 && strings.HasPrefix(plain, "#") {
			plain = plain[at+1:]
		}
		fmt.Fprintf(b, "| `%s` | `%s` | %s | %s |\n", name, cell(plain), comment, field.rule())
	}
}

var choice = regexp.MustCompile(`(?m)^# +(\w+)  +`)

// plainComment is a comment of YAML without its marks; lists of choices keep theirs.
func plainComment(comment string) string {
	comment = choice.ReplaceAllString(comment, "# <br>`$1`: ")
	var lines []string
	for line := range strings.Lines(comment) {
		lines = append(lines, strings.TrimPrefix(strings.TrimSpace(line), "#"))
	}
	return strings.Join(lines, " ")
}

// rule says what a schema allows, apart from the type, which the default shows.
func (s schema) rule() string {
	var rules []string
	for _, value := range s.Enum {
		rules = append(rules, fmt.Sprintf("`%v`", value))
	}
	if s.Pattern != "" {
		rules = append(rules, "`"+cell(s.Pattern)+"`")
	}
	if s.Minimum != nil {
		rules = append(rules, fmt.Sprintf("%v or more", *s.Minimum))
	}
	if s.Description != "" {
		rules = append(rules, cell(s.Description))
	}
	return strings.Join(rules, "; ")
}

// TestWorldFields wants docs/world.md to have every field that a world file
// may have.
func TestWorldFields(t *testing.T) {
	page := read(t, "docs/world.md")
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || seen[of] {
			return
		}
		seen[of] = true
		for i := range of.NumField() {
			field := of.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			if name == "" || name == "-" {
				continue
			}
			if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`"+name+"[]") && !strings.Contains(page, "."+name+"`") && !strings.Contains(page, "."+name+"[]`") {
				t.Errorf("docs/world.md does not tell of %s, of %s", name, of.Name())
			}
			walk(field.Type)
		}
	}
	walk(reflect.TypeFor[devenv.World]())
	if len(seen) < 10 {
		t.Errorf("saw %d types of a world file", len(seen))
	}
}

// TestAgentFlags wants docs/agent.md to have every flag of podid-agent server.
func TestAgentFlags(t *testing.T) {
	page := read(t, "docs/agent.md")
	out, err := exec.Command(filepath.Join(build(t), "podid-agent"), "server", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := 0
	for line := range strings.Lines(string(out)) {
		name, is := strings.CutPrefix(line, "  -")
		if !is {
			continue
		}
		found++
		name = strings.Fields(name)[0]
		if len(name) > 1 {
			name = "-" + name
		}
		if !strings.Contains(page, "`-"+name+"`") {
			t.Errorf("docs/agent.md does not tell of -%s", name)
		}
	}
	if found < 15 {
		t.Errorf("%d flags in\n%s", found, out)
	}
}
