package policy

import (
	"fmt"
	"strings"
	"testing"
)

// guideCase finds a case of the tables, for the benchmarks to judge.
func guideCase(tb testing.TB, file, name string) *tableCase {
	tb.Helper()
	cases := loadTable(tb)
	for i := range cases {
		if cases[i].file == file && cases[i].name == name {
			return &cases[i]
		}
	}
	tb.Fatalf("no case %q in %s", name, file)
	return nil
}

// hopAllocations is what judging one hop may allocate, reasons and all.
const hopAllocations = 8

// BenchmarkEvaluate judges one hop of the target-role guide, reasons included.
func BenchmarkEvaluate(b *testing.B) {
	for _, c := range []struct{ name, file, title string }{
		{"hop1", "guide-hop1", "hop 1 by the service"},
		{"hop2/tags", "guide-hop2", "form A"},
		{"hop2/externalID", "guide-hop2", "form B"},
		{"hop2/denied", "guide-hop2", "form A with tags disabled"},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := guideCase(b, c.file, c.title)
			b.ReportAllocs()
			for b.Loop() {
				Evaluate(&g.request, &g.policies)
			}
			if n := testing.AllocsPerRun(100, func() { Evaluate(&g.request, &g.policies) }); n > hopAllocations {
				b.Errorf("%v allocations, want at most %d", n, hopAllocations)
			}
		})
	}
}

// BenchmarkParse reads the policies of one role: its trust policy and one
// permission policy.
func BenchmarkParse(b *testing.B) {
	g := guideCase(b, "guide-hop2", "form A")
	trust, permission := g.policies.Resource[0].Document.Source(), g.policies.Identity[0].Document.Source()
	b.ReportAllocs()
	b.SetBytes(int64(len(trust) + len(permission)))
	for b.Loop() {
		if _, err := Parse(Trust, trust); err != nil {
			b.Fatal(err)
		}
		if _, err := Parse(Identity, permission); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseLargest reads documents as large as there are, of the shapes
// that would show if anything took quadratic time.
func BenchmarkParseLargest(b *testing.B) {
	statement := `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
	keys := make([]string, 6000)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"a:%d":"%d"`, i, i)
	}
	for _, c := range []struct{ name, text string }{
		{"statements", `{"Statement":[` + strings.Repeat(statement+",", 2500) + statement + `]}`},
		{"keys", `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{` + strings.Join(keys, ",") + `}}}}`},
		{"white space", strings.Repeat("\n", 100_000) + `{"Statement":[` + statement + `]}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				if _, err := Parse(Identity, c.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWorld reads the policies of 10,000 roles.
func BenchmarkWorld(b *testing.B) {
	g := guideCase(b, "guide-hop2", "form A")
	trust, permission := g.policies.Resource[0].Document.Source(), g.policies.Identity[0].Document.Source()
	var texts [10_000][2]string
	for i := range texts {
		account := fmt.Sprintf("%012d", i)
		texts[i] = [2]string{strings.ReplaceAll(trust, "111122223333", account), strings.ReplaceAll(permission, "222233334444", account)}
	}
	for b.Loop() {
		for i := range texts {
			if _, err := Parse(Trust, texts[i][0]); err != nil {
				b.Fatal(err)
			}
			if _, err := Parse(Identity, texts[i][1]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkGlob matches what makes naive matchers take exponential time.
func BenchmarkGlob(b *testing.B) {
	text := strings.Repeat("a", 2048)
	for _, c := range []struct{ name, pattern string }{
		{"stars", strings.Repeat("*a", 512) + "b"},
		{"stars and questions", strings.Repeat("*a?", 300) + "b"},
	} {
		b.Run(c.name, func(b *testing.B) {
			pattern := wildcardBytes.Replace(c.pattern)
			for b.Loop() {
				globMatch(pattern, text)
			}
		})
	}
	b.Run("within parts", func(b *testing.B) {
		pattern := strings.Repeat(string([]byte{segmentRun, 'a'}), 512) + "b"
		for b.Loop() {
			globMatch(pattern, text)
		}
	})
}
