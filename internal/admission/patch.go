package admission

import (
	"strconv"
	"strings"
)

// operation is one step of a JSON Patch (RFC 6902). Patches are written by hand
// and never as the difference of two objects: fields that a newer API server
// knows and podid does not would look like removed ones.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Patch is a JSON Patch (RFC 6902). Nil: nothing to change.
type Patch []operation

func (p *Patch) add(value any, path ...string) {
	*p = append(*p, operation{Op: "add", Path: pointer(path), Value: value})
}

// extend adds values at the end of the array at path, which has length members:
// an empty one may be absent, and nothing can be added to what is not there.
func extend[T any](p *Patch, length int, values []T, path ...string) {
	switch {
	case len(values) == 0:
	case length == 0:
		p.add(values, path...)
	default:
		for _, v := range values {
			p.add(v, append(path, "-")...)
		}
	}
}

// remove removes the members of the array at path whose indices, ascending, are given.
func (p *Patch) remove(indices []int, path ...string) {
	for i := len(indices) - 1; i >= 0; i-- { // from the end: the others keep their places
		*p = append(*p, operation{Op: "remove", Path: pointer(append(path, strconv.Itoa(indices[i])))})
	}
}

// pointer writes a JSON Pointer (RFC 6901).
func pointer(path []string) string {
	var b strings.Builder
	for _, step := range path {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(step, "~", "~0"), "/", "~1"))
	}
	return b.String()
}
