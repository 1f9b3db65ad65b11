package audit_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/audit"
)

const (
	schemaFile = "../../docs/audit.schema.json"
	page       = "../../docs/audit.md"
)

var update = flag.Bool("update", false, "write docs/audit.schema.json anew")

// line is one line of a file: an event, and its link.
type line struct {
	audit.Event
	Chain *audit.Link `json:"chain,omitempty"`
}

// schemaOf returns the JSON Schema of a Go type, as encoding/json writes it.
func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[audit.Outcome]():
		return map[string]any{"type": "string", "enum": []any{string(audit.Granted), string(audit.Refused), string(audit.Admitted)}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	}
	properties, required := map[string]any{}, []any{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || len(f.Index) > 2 {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		properties[name] = schemaOf(f.Type)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// TestSchemaIsThatOfTheType: docs/audit.schema.json says what podid writes, and
// docs/audit.md describes each field. Write the file anew by go test -update.
func TestSchemaIsThatOfTheType(t *testing.T) {
	s := schemaOf(reflect.TypeFor[line]())
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", "podid audit event, version "+audit.Version
	s["description"] = "One line of a podid audit file. docs/audit.md describes the fields. Later versions 1.x may have more."
	want, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/audit.schema.json is not that of audit.Event (%v): go test ./internal/audit -run Schema -update", err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names(s) {
		if !bytes.Contains(text, []byte("`"+name+"`")) {
			t.Errorf("docs/audit.md does not describe %s", name)
		}
	}
}

// names are those of all properties, each as the page has it: hops[].roleArn.
func names(s map[string]any) (all []string) {
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		p := p.(map[string]any)
		all = append(all, name)
		inner := p
		suffix := "."
		if items, ok := p["items"].(map[string]any); ok {
			inner, suffix = items, "[]."
		}
		if name == "associationBefore" {
			continue // has what association has
		}
		for _, below := range names(inner) {
			all = append(all, name+suffix+below)
		}
	}
	slices.Sort(all)
	return all
}

// TestFullEventHasAllOfTheSchema: so that a field that is added is in the tests
// of filters and files too.
func TestFullEventHasAllOfTheSchema(t *testing.T) {
	text, err := json.Marshal(line{*full(), &audit.Link{Sequence: 1}})
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(schemaOf(reflect.TypeFor[line]())) {
		var at any = value
		for part := range strings.SplitSeq(name, ".") {
			key, isList := strings.CutSuffix(part, "[]")
			object, _ := at.(map[string]any)
			if at = object[key]; isList {
				list, _ := at.([]any)
				if len(list) == 0 {
					t.Fatalf("the full event has no %s", key)
				}
				at = list[0]
			}
		}
		if at == nil {
			t.Errorf("the full event has no %s", name)
		}
	}
}
