package policy

import (
	"strings"
	"testing"
)

// conditionOf compiles one condition on the key "k:k".
func conditionOf(t *testing.T, name string, wants []string) (*condition, bool) {
	t.Helper()
	op, ok := parseOperator(name)
	if !ok {
		return nil, false
	}
	c := &condition{operator: op, key: "k:k"}
	for _, want := range wants {
		v, problem := op.compile(want, false)
		if problem != "" {
			return nil, false
		}
		c.values = append(c.values, v)
		if op.family == nullFamily {
			absent, _ := parseBool(want)
			c.wantAbsent = append(c.wantAbsent, absent)
		}
	}
	return c, true
}

var opposites = map[string]string{
	"StringEquals": "StringNotEquals", "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase", "StringLike": "StringNotLike",
	"NumericEquals": "NumericNotEquals", "DateEquals": "DateNotEquals", "IpAddress": "NotIpAddress", "ArnLike": "ArnNotLike", "ArnEquals": "ArnNotEquals",
}

// The laws that hold between conditions, for any values of policy and request.
func FuzzCondition(f *testing.F) {
	for name := range operators {
		for _, v := range []string{"", "a", "a*", "10", "1e3", "2026-01-01T00:00:00Z", "true", "QQ==", "10.0.0.0/8", "::1", "arn:aws:s3:::b", "arn:*:*:*:*:*"} {
			f.Add(name, v, v)
			f.Add(name, v+"\n"+v, "a\nb")
		}
	}
	f.Fuzz(func(t *testing.T, name, wants, gots string) {
		values := strings.Split(wants, "\n")
		got := strings.Split(gots, "\n")
		c, ok := conditionOf(t, name, values)
		if !ok {
			return
		}
		holds := func(name string, allow bool, ctx Context) bool {
			c, ok := conditionOf(t, name, values)
			if !ok {
				t.Fatalf("%s does not take what its sibling takes", name)
			}
			return c.holds(allow, ctx)
		}
		present, absent := Context{"k:k": got}, Context{}
		// What an Allow lets through, a Deny on the same condition holds.
		if c.holds(true, present) && !c.holds(false, present) {
			t.Errorf("%s %q of %q: meets an Allow and escapes a Deny", name, values, got)
		}
		if c.quantifier != single || c.ifExists || c.family == nullFamily {
			return
		}
		if c.holds(true, absent) != c.negated {
			t.Errorf("%s %q of a missing key: %v", name, values, !c.negated)
		}
		for _, allow := range []bool{true, false} {
			if holds(name+"IfExists", allow, present) != c.holds(allow, present) {
				t.Errorf("%sIfExists differs on a key that is there", name)
			}
			if !holds(name+"IfExists", allow, absent) || !holds("ForAllValues:"+name, allow, absent) || holds("ForAnyValue:"+name, allow, absent) {
				t.Errorf("%s with a missing key", name)
			}
		}
		unclear := c.holds(true, present) != c.holds(false, present)
		opposite, ok := opposites[name]
		if !ok {
			return
		}
		if !unclear && len(got) == 1 && holds(opposite, true, present) == c.holds(true, present) {
			t.Errorf("%s and %s agree on %q of %q", name, opposite, values, got)
		}
		// All meet it, or some meet the opposite; unless it is unclear, which
		// neither an Allow nor an escape from a Deny gains by.
		all, some := holds("ForAllValues:"+name, true, present), holds("ForAnyValue:"+opposite, true, present)
		if all && some && (len(got) > 1 || got[0] != "") {
			t.Errorf("all of %q meet %s, and some meet %s", got, name, opposite)
		}
		if !holds("ForAllValues:"+name, false, present) && !holds("ForAnyValue:"+opposite, false, present) {
			t.Errorf("%q escape both ForAllValues:%s and ForAnyValue:%s", got, name, opposite)
		}
	})
}

// The value of a variable stands for itself, whatever is in it.
func FuzzVariable(f *testing.F) {
	f.Add("home/", "alice", "/*")
	f.Add("", "*", "")
	f.Add("a", "${aws:username}", "?")
	f.Fuzz(func(t *testing.T, before, value, after string) {
		d := dialect{variables: true, wild: true}
		if strings.ContainsAny(before+after, "$*?{}'") || hasWildcard(before+value+after) {
			return
		}
		compiled, problem := d.compile(before + "${k:v}" + after)
		if problem != "" {
			t.Fatal(problem)
		}
		pattern, ok := compiled.resolve(Context{"k:v": {value}})
		if !ok {
			t.Fatal("not resolved")
		}
		if pattern != before+value+after || !globMatch(pattern, before+value+after) || globMatch(pattern, before+value+"x"+after) {
			t.Errorf("the value %q is not taken for itself in %q", value, pattern)
		}
		if _, ok := compiled.resolve(Context{}); ok {
			t.Error("resolved without a value")
		}
	})
}
