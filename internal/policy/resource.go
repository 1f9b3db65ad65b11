package policy

import "strings"

// arnParts is how many parts an ARN has: arn:partition:service:region:account:resource.
// The last may have colons of its own.
const arnParts = 6

// splitARN returns the parts of an ARN or of a pattern for one, and whether
// there are six. Any colon after the fifth belongs to the last part.
func splitARN(s string) (parts [arnParts]string, ok bool) {
	for i := range arnParts - 1 {
		parts[i], s, ok = strings.Cut(s, ":")
		if !ok {
			return parts, false
		}
	}
	parts[arnParts-1] = s
	return parts, true
}

// resource is one value of a Resource or NotResource element.
type resource struct {
	any bool // "*"
	// What the value stands for: itself and, where the ARN is incomplete, its completion.
	patterns []template
}

// compileResource reads one value of a Resource element. An ARN of fewer than
// six parts is completed with "*" in an identity-based policy; session policies
// do not take one
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html),
// and what other services do is not documented, so those are refused.
func compileResource(s string, d dialect, complete bool) (resource, string) {
	if s == "*" {
		return resource{any: true}, ""
	}
	t, problem := d.compile(s)
	if problem != "" {
		return resource{}, "Syntax errors in policy: " + problem
	}
	parts := strings.SplitN(t.first(), ":", arnParts)
	notARN := "Resource " + s + ` must be in ARN format or "*".`
	if len(parts) < 3 || parts[0] != "arn" {
		return resource{}, notARN
	}
	if !partitionPattern(parts[1]) {
		return resource{}, `Partition "` + wildcardText.Replace(parts[1]) + `" is not valid for resource "` + s + `".`
	}
	if hasWildcard(parts[2]) || len(parts) == 3 && t.parts != nil {
		return resource{}, "Resource vendor must be fully qualified and cannot contain regexes."
	}
	if parts[2] == "" {
		return resource{}, notARN
	}
	colons := t.confine()
	if colons >= arnParts-1 {
		return resource{patterns: []template{t}}, ""
	}
	if !complete {
		return resource{}, notARN
	}
	whole, _ := d.compile(s + strings.Repeat(":*", arnParts-1-colons))
	whole.confine()
	return resource{patterns: []template{t, whole}}, ""
}

// partitionPattern tells whether s may stand for a partition. AWS's own
// policies write arn:*: to mean all of them.
func partitionPattern(s string) bool {
	if hasWildcard(s) {
		return true
	}
	return s == "aws" || strings.HasPrefix(s, "aws-") && !strings.ContainsAny(s, "/ ")
}

// first returns the text before the first variable.
func (t *template) first() string {
	switch {
	case t.parts == nil:
		return t.text
	case t.parts[0].key != "":
		return ""
	}
	return t.parts[0].text
}

// confine makes an ARN's wildcards stop at colons, as far as they do: in the
// five parts before the last, unless "*" ends its part ("If the * wildcard is
// the last character of a resource ARN segment, it can expand to match beyond
// the colon boundaries",
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html).
// It returns the number of colons.
func (t *template) confine() (colons int) {
	if t.parts == nil {
		t.text = confineText(t.text, &colons, true)
	}
	for i := range t.parts {
		if p := &t.parts[i]; p.key == "" {
			p.text = confineText(p.text, &colons, i == len(t.parts)-1)
		}
	}
	t.confineVariables()
	return colons
}

func confineText(s string, colons *int, last bool) string {
	out := []byte(s)
	for i, c := range out {
		if c == ':' {
			*colons++
		}
		if *colons >= arnParts-1 {
			break
		}
		ends := i+1 == len(out) && last || i+1 < len(out) && out[i+1] == ':'
		switch {
		case c == anyRun && !ends:
			out[i] = segmentRun
		case c == anyOne:
			out[i] = segmentOne
		}
	}
	return string(out)
}

// confineVariables keeps the values of an ARN's variables within their parts,
// if the ARN does not begin with one.
func (t *template) confineVariables() {
	colons := 0
	for i := range t.parts {
		if p := &t.parts[i]; p.key == "" {
			colons += strings.Count(p.text, ":")
		} else {
			p.inSegment = 0 < colons && colons < arnParts-1
		}
	}
}

// matches tells whether the ARN of a request is one of those that r stands for.
// A variable without a value makes it match nothing
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-no-value).
func (r *resource) matches(arn string, c Context) bool {
	if r.any {
		return true
	}
	for i := range r.patterns {
		if text, ok := r.patterns[i].resolve(c); ok && globMatch(text, arn) {
			return true
		}
	}
	return false
}
