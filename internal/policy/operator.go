package policy

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// family is a kind of values, compared alike.
type family int

const (
	stringFamily family = iota
	numericFamily
	dateFamily
	boolFamily
	binaryFamily
	ipFamily
	arnFamily
	nullFamily
)

// base is an operator's own name, taken apart.
type base struct {
	family  family
	negated bool
	like    bool // String: with wildcards
	fold    bool // String: without regard to case
	// Numeric, Date: which results of cmp.Compare(got, want) hold.
	holds [3]bool // less, equal, greater
}

var (
	equal          = [3]bool{1: true}
	less           = [3]bool{0: true}
	lessOrEqual    = [3]bool{0: true, 1: true}
	greater        = [3]bool{2: true}
	greaterOrEqual = [3]bool{1: true, 2: true}
)

var operators = map[string]base{
	"StringEquals":              {family: stringFamily},
	"StringNotEquals":           {family: stringFamily, negated: true},
	"StringEqualsIgnoreCase":    {family: stringFamily, fold: true},
	"StringNotEqualsIgnoreCase": {family: stringFamily, fold: true, negated: true},
	"StringLike":                {family: stringFamily, like: true},
	"StringNotLike":             {family: stringFamily, like: true, negated: true},
	"NumericEquals":             {family: numericFamily, holds: equal},
	"NumericNotEquals":          {family: numericFamily, holds: equal, negated: true},
	"NumericLessThan":           {family: numericFamily, holds: less},
	"NumericLessThanEquals":     {family: numericFamily, holds: lessOrEqual},
	"NumericGreaterThan":        {family: numericFamily, holds: greater},
	"NumericGreaterThanEquals":  {family: numericFamily, holds: greaterOrEqual},
	"DateEquals":                {family: dateFamily, holds: equal},
	"DateNotEquals":             {family: dateFamily, holds: equal, negated: true},
	"DateLessThan":              {family: dateFamily, holds: less},
	"DateLessThanEquals":        {family: dateFamily, holds: lessOrEqual},
	"DateGreaterThan":           {family: dateFamily, holds: greater},
	"DateGreaterThanEquals":     {family: dateFamily, holds: greaterOrEqual},
	"Bool":                      {family: boolFamily},
	"BinaryEquals":              {family: binaryFamily},
	"IpAddress":                 {family: ipFamily},
	"NotIpAddress":              {family: ipFamily, negated: true},
	"ArnEquals":                 {family: arnFamily},
	"ArnLike":                   {family: arnFamily},
	"ArnNotEquals":              {family: arnFamily, negated: true},
	"ArnNotLike":                {family: arnFamily, negated: true},
	"Null":                      {family: nullFamily},
}

func answerIf(condition bool) answer {
	if condition {
		return yes
	}
	return no
}

// compile makes the comparison with want, a value of the policy. Variables
// are for String and ARN operators alone. Its error is a phrase.
func (b base) compile(want string, variables bool) (conditionValue, string) {
	v := conditionValue{text: template{text: want}}
	if b.family == stringFamily || b.family == arnFamily {
		d := dialect{variables: variables, wild: b.like || b.family == arnFamily}
		t, problem := d.compile(want)
		if problem != "" {
			return v, problem
		}
		if b.family == arnFamily {
			t.confineVariables()
		}
		v.text = t
	} else if variables && strings.Contains(want, "${") {
		return v, "policy variables can only be used with String and ARN operators"
	}
	problem := ""
	switch b.family {
	case stringFamily:
		v.compare = b.compareString(v.text)
	case arnFamily:
		v.compare = compareARN(v.text)
	case numericFamily:
		v.compare, problem = compareWith(b.holds, want, parseNumber, number.compare, "a number")
	case dateFamily:
		v.compare, problem = compareWith(b.holds, want, parseDate, time.Time.Compare, "a date")
	case boolFamily, nullFamily:
		v.compare, problem = compareBool(want)
	case binaryFamily:
		v.compare, problem = compareBinary(want)
	case ipFamily:
		v.compare, problem = compareIP(want)
	}
	return v, problem
}

func (b base) compareString(t template) comparison {
	test := func(want, got string) bool { return want == got }
	switch {
	case b.fold:
		test = strings.EqualFold
	case b.like:
		test = globMatch
	}
	return func(got string, c Context) answer {
		want, ok := t.resolve(c)
		return answerIf(ok && test(want, got))
	}
}

// compareARN compares the six parts each for itself. A pattern with fewer
// parts is accepted by AWS, which does not say what it matches.
func compareARN(t template) comparison {
	fixed, whole := splitARN(t.text)
	return func(got string, c Context) answer {
		want, ok := fixed, whole
		if t.parts != nil {
			text, resolved := t.resolve(c)
			if !resolved {
				return no
			}
			want, ok = splitARN(text)
		}
		if !ok {
			return unclear
		}
		parts, ok := splitARN(got)
		for i := range want {
			ok = ok && globMatch(want[i], parts[i])
		}
		return answerIf(ok)
	}
}

// compareWith is for values that have an order.
func compareWith[T any](holds [3]bool, want string, parse func(string) (T, bool), compare func(T, T) int, what string) (comparison, string) {
	w, ok := parse(want)
	if !ok {
		return nil, quote(want) + " is not " + what
	}
	return func(got string, _ Context) answer {
		g, ok := parse(got)
		if !ok {
			return unclear
		}
		return answerIf(holds[1+compare(g, w)])
	}, ""
}

// number is exact for integers of 64 bits.
type number struct {
	integer int64
	exact   bool
	float   float64
}

func parseNumber(s string) (number, bool) {
	if s == "" || len(s) > 64 || !only(s, digits+"+-.eE") {
		return number{}, false
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return number{i, true, float64(i)}, true
	}
	f, err := strconv.ParseFloat(s, 64)
	return number{float: f}, err == nil
}

func (n number) compare(m number) int {
	switch {
	case n.exact && m.exact && n.integer < m.integer, !(n.exact && m.exact) && n.float < m.float:
		return -1
	case n.exact && m.exact && n.integer > m.integer, !(n.exact && m.exact) && n.float > m.float:
		return 1
	}
	return 0
}

// The forms of ISO 8601 that https://www.w3.org/TR/NOTE-datetime has. Parsing
// takes a fraction of a second even where the layout has none.
var dateLayouts = []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00"}

// parseDate reads a date, or seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	const maxSeconds = 1 << 40
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > maxSeconds || n < -maxSeconds {
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}

func parseBool(s string) (value, ok bool) {
	return strings.EqualFold(s, "true"), strings.EqualFold(s, "true") || strings.EqualFold(s, "false")
}

func compareBool(want string) (comparison, string) {
	w, ok := parseBool(want)
	if !ok {
		return nil, quote(want) + ` is neither "true" nor "false"`
	}
	return func(got string, _ Context) answer {
		g, ok := parseBool(got)
		if !ok {
			return unclear
		}
		return answerIf(g == w)
	}, ""
}

// compareBinary compares the bytes of the request with the base64 of the policy.
func compareBinary(want string) (comparison, string) {
	w, err := base64.StdEncoding.DecodeString(want)
	if err != nil {
		return nil, quote(want) + " is not base64"
	}
	return func(got string, _ Context) answer { return answerIf(got == string(w)) }, ""
}

func compareIP(want string) (comparison, string) {
	prefix, err := netip.ParsePrefix(want)
	if err != nil {
		address, err := netip.ParseAddr(want)
		if err != nil || address.Zone() != "" {
			return nil, quote(want) + " is not an IP address or a range in CIDR form"
		}
		prefix = netip.PrefixFrom(address, address.BitLen())
	}
	if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
	}
	return func(got string, _ Context) answer {
		address, err := netip.ParseAddr(got)
		if err != nil {
			return unclear
		}
		return answerIf(prefix.Contains(address.Unmap().WithZone("")))
	}, ""
}
