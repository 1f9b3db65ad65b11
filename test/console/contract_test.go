package console

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	api "github.com/podid/podid/internal/console"
)

var update = flag.Bool("update", false, "write console/src/api/types.ts")

// answers are what goes over the console's API; the types they hold follow.
var answers = []any{
	api.ErrorReply{}, api.Session{}, api.AssociationPage{}, api.AssociationInput{}, api.AssociationDetail{}, api.PreviewInput{}, api.Preview{},
	api.Explanation{}, api.Policies{}, api.Pods{}, api.Deletion{}, api.Events{}, api.Facets{}, api.Names{}, api.ServiceAccounts{}, api.Roles{},
	api.Map{}, api.ActivityPage{}, api.Counts{}, api.Health{},
}

// TestContract has the front end's types be those of internal/console/api.go.
func TestContract(t *testing.T) {
	const file = "../../console/src/api/types.ts"
	s := &script{t: t, done: map[string]string{}, types: map[string]reflect.Type{}}
	for _, a := range answers {
		s.name(reflect.TypeOf(a))
	}
	names := make([]string, 0, len(s.done))
	for name := range s.done {
		names = append(names, name)
	}
	slices.Sort(names)
	want := "// Written by go test ./test/console -run Contract -update, from internal/console/api.go.\n"
	for _, name := range names {
		want += "\n" + s.done[name]
	}
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what internal/console/api.go says: run go test ./test/console -run Contract -update", file)
	}
}

// script is a TypeScript file in the making: interfaces by their names.
type script struct {
	t     *testing.T
	done  map[string]string
	types map[string]reflect.Type
}

// enums are texts of which there are but a few, by their Go types.
var enums = map[string]string{
	"console.State":   `'working' | 'failing' | 'not-ready' | 'unknown'`,
	"explain.Verdict": `'allowed' | 'refused' | 'unknown'`,
}

func (s *script) name(t reflect.Type) string {
	if text, ok := enums[t.String()]; ok {
		s.done[t.Name()] = fmt.Sprintf("export type %s = %s;\n", t.Name(), text)
		return t.Name()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "string"
	case t == reflect.TypeFor[json.RawMessage]():
		return "unknown"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Pointer:
		return s.name(t.Elem())
	case reflect.Slice:
		return s.name(t.Elem()) + "[]"
	case reflect.Map:
		return "Record<string, " + s.name(t.Elem()) + ">"
	case reflect.Struct:
		if other := s.types[t.Name()]; other != nil && other != t {
			s.t.Errorf("%s and %s are both called %s in TypeScript", t, other, t.Name())
		}
		s.types[t.Name()] = t
		if s.done[t.Name()] == "" {
			s.done[t.Name()] = "-"
			s.done[t.Name()] = fmt.Sprintf("export interface %s%s {\n%s}\n", t.Name(), s.extends(t), s.fields(t))
		}
		return t.Name()
	default:
		return "number"
	}
}

// extends names what is embedded, whose fields JSON has beside t's own.
func (s *script) extends(t reflect.Type) string {
	var names []string
	for f := range t.Fields() {
		if f.Anonymous {
			names = append(names, s.name(f.Type))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " extends " + strings.Join(names, ", ")
}

func (s *script) fields(t reflect.Type) string {
	var b strings.Builder
	for f := range t.Fields() {
		if f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		optional := ""
		if strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero") {
			optional = "?"
		}
		fmt.Fprintf(&b, "  %s%s: %s;\n", cmp.Or(name, f.Name), optional, s.name(f.Type))
	}
	return b.String()
}
