package policy

import "strings"

// quantifier says how an operator treats a key of several values
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html).
type quantifier int

const (
	single quantifier = iota
	forAllValues
	forAnyValue
)

// operator is a condition operator with what may stand around its name
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html).
type operator struct {
	base
	quantifier quantifier
	ifExists   bool
}

// parseOperator reads a name such as ForAnyValue:StringLikeIfExists.
func parseOperator(name string) (operator, bool) {
	var op operator
	if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		op.quantifier, name = forAllValues, rest
	} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		op.quantifier, name = forAnyValue, rest
	}
	name, op.ifExists = strings.CutSuffix(name, "IfExists")
	var ok bool
	op.base, ok = operators[name]
	if op.family == nullFamily && (op.ifExists || op.quantifier != single) {
		return operator{}, false
	}
	return op, ok
}

// answer is what comparing one value with another says.
type answer int

const (
	no answer = iota
	yes
	// unclear is for what cannot be compared. It never lets anything through:
	// an Allow does not match, a Deny does.
	unclear
)

// comparison compares a value of the request with one of the policy.
type comparison func(got string, c Context) answer

// condition is one key under one operator.
type condition struct {
	operator
	key    string // in lower case
	values []conditionValue
	// Of Null alone: whether each value asks for absence.
	wantAbsent []bool
}

type conditionValue struct {
	compare comparison
	text    template // for reasons, and for operators that take variables
}

// holds tells whether the condition is met. allow is the statement's effect.
func (c *condition) holds(allow bool, ctx Context) bool {
	got := ctx[c.key]
	if c.family == nullFamily {
		return c.null(allow, len(got) == 0)
	}
	// Set operators take an empty string for an empty set.
	if c.quantifier != single && len(got) == 1 && got[0] == "" {
		got = nil
	}
	switch {
	case len(got) == 0 && c.ifExists:
		return true
	case len(got) == 0 && c.quantifier == single:
		return c.negated && (len(c.values) > 0 || !allow)
	case len(got) == 0:
		return c.quantifier == forAllValues
	case len(c.values) == 0:
		// AWS accepts an empty list and does not say what it means.
		return !allow
	case c.quantifier == single && len(got) > 1:
		// "Multivalued context keys require a condition set operator."
		return !allow
	}
	// One clear value settles a set: a yes for any of it, a no for all of it.
	settles := no
	if c.quantifier == forAnyValue {
		settles = yes
	}
	sure := true
	for _, g := range got {
		switch c.test(g, ctx) {
		case settles:
			return settles == yes
		case unclear:
			sure = false
		}
	}
	if !sure {
		return !allow
	}
	return settles == no
}

// test compares one value of the request with all of the policy: any of them
// will do, or, for a negated operator, none must.
func (c *condition) test(got string, ctx Context) answer {
	result := no
	for i := range c.values {
		switch c.values[i].compare(got, ctx) {
		case yes:
			return answerIf(!c.negated)
		case unclear:
			result = unclear
		}
	}
	if result == unclear {
		return unclear
	}
	return answerIf(c.negated)
}

func (c *condition) null(allow, absent bool) bool {
	if len(c.wantAbsent) == 0 {
		return !allow
	}
	for _, want := range c.wantAbsent {
		if want == absent {
			return true
		}
	}
	return false
}
