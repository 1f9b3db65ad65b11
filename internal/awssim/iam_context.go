package awssim

import (
	"encoding/base64"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/policy"
)

// contextEntry is a condition key as a simulation is given it
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_ContextEntry.html).
type contextEntry struct {
	ContextKeyName   string
	ContextKeyValues []string
	ContextKeyType   string
}

const (
	maxContextEntries = 200
	maxContextValues  = 200
)

// addContext adds the entries of the request, which replace what is known.
func (m *simulation) addContext() error {
	if len(m.in.ContextEntries) > maxContextEntries {
		return invalidInput("ContextEntries: at most %d.", maxContextEntries)
	}
	for _, e := range m.in.ContextEntries {
		if err := e.check(); err != nil {
			return err
		}
		m.context.Set(e.ContextKeyName, e.ContextKeyValues...)
	}
	return nil
}

// check finds values that are not of the type they are said to be.
func (e contextEntry) check() error {
	name := e.ContextKeyName
	service, key, found := strings.Cut(name, ":")
	switch {
	case !found || service == "" || key == "" || len(name) > 256:
		return invalidInput("ContextEntries: %.256q is not the name of a condition key, such as aws:PrincipalTag/team.", name)
	case len(e.ContextKeyValues) > maxContextValues:
		return invalidInput("ContextEntries: %s has more than %d values.", name, maxContextValues)
	}
	kind, list := strings.CutSuffix(e.ContextKeyType, "List")
	valid, known := contextTypes[kind]
	switch {
	case !known:
		return invalidInput("ContextEntries: the type of %s is %.64q; it must be one of string, numeric, boolean, ip, binary and date, or a list of them, such as stringList.",
			name, e.ContextKeyType)
	case !list && len(e.ContextKeyValues) != 1:
		return invalidInput("ContextEntries: %s has %d values, and the type %s has one. Use %sList.", name, len(e.ContextKeyValues), kind, kind)
	}
	for _, value := range e.ContextKeyValues {
		if !valid(value) {
			return invalidInput("ContextEntries: the value %.256q of %s is not of the type %s.", value, name, kind)
		}
	}
	return nil
}

// contextTypes are the types of values.
var contextTypes = map[string]func(string) bool{
	"string":  func(string) bool { return true },
	"numeric": func(s string) bool { _, err := strconv.ParseFloat(s, 64); return err == nil },
	"boolean": func(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") },
	"ip": func(s string) bool {
		if _, err := netip.ParseAddr(s); err == nil {
			return true
		}
		_, err := netip.ParsePrefix(s)
		return err == nil
	},
	"binary": func(s string) bool { _, err := base64.StdEncoding.DecodeString(s); return err == nil },
	"date": func(s string) bool {
		if _, err := strconv.ParseInt(s, 10, 64); err == nil {
			return true
		}
		_, err := time.Parse(time.RFC3339, s)
		return err == nil
	},
}

// getContextKeysForCustomPolicy is https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForCustomPolicy.html.
func (x *iamCall) getContextKeysForCustomPolicy() (any, error) {
	documents, err := x.inputPolicies()
	if err != nil {
		return nil, err
	}
	if len(documents) == 0 {
		return nil, invalidInput("PolicyInputList: at least one policy is needed.")
	}
	if err := x.may("*", nil, nil); err != nil {
		return nil, err
	}
	return contextKeysOf(documents), nil
}

// getContextKeysForPrincipalPolicy is https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForPrincipalPolicy.html.
func (x *iamCall) getContextKeysForPrincipalPolicy() (any, error) {
	documents, err := x.inputPolicies()
	if err != nil {
		return nil, err
	}
	caller, err := x.policySource(x.form.Get("PolicySourceArn"))
	if err != nil {
		return nil, err
	}
	own := x.sim.policiesOf(caller)
	for _, p := range slices.Concat(own.Identity, own.Boundary) {
		documents = append(documents, p.Document)
	}
	return contextKeysOf(documents), nil
}

func (x *iamCall) inputPolicies() ([]*policy.Document, error) {
	var in struct{ PolicyInputList []string }
	if err := awswire.DecodeForm(x.form, &in); err != nil {
		return nil, err
	}
	var documents []*policy.Document
	for i, text := range in.PolicyInputList {
		d, err := parseSimulated("PolicyInputList."+strconv.Itoa(i+1), policy.Identity, text)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
	return documents, nil
}

func contextKeysOf(documents []*policy.Document) *contextKeysResult {
	keys := map[string]string{}
	for _, d := range documents {
		for _, key := range d.ContextKeys() {
			keys[strings.ToLower(key)] = key
		}
	}
	return &contextKeysResult{slices.Sorted(maps.Values(keys))}
}
