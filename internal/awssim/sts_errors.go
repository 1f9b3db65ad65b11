package awssim

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/podid/podid/internal/awswire"
)

// The errors of STS beyond those of every Query service
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors).

// stsDenied is STS's denial. It never says which policy denied, nor whose; a
// role that is not there is denied in the same words.
func stsDenied(c *Caller, action, resource string) error {
	return &awswire.Error{Code: "AccessDenied", Status: http.StatusForbidden, Message: notAuthorized(c, action, resource)}
}

func validationError(format string, args ...any) error {
	return &awswire.Error{Code: "ValidationError", Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func invalidParameterValue(text string) error {
	return &awswire.Error{Code: "InvalidParameterValue", Status: http.StatusBadRequest, Message: text}
}

// pattern is a regular expression of a model, matched whole, and its text in errors.
type pattern struct {
	re   *regexp.Regexp
	text string
}

var (
	wordPattern       = pattern{regexp.MustCompile(`^\w*$`), `[\w]*`}
	sessionPattern    = pattern{regexp.MustCompile(`^[\w+=,.@-]*$`), `[\w+=,.@-]*`}
	externalIDPattern = pattern{regexp.MustCompile(`^[\w+=,.@:/-]*$`), `[\w+=,.@:\/-]*`}
	tagKeyPattern     = pattern{regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$`), `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`}
	tagValuePattern   = pattern{regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`), `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`}
	// Session policies are of tab, line feed, carriage return and U+0020 to U+00FF.
	policyPattern = pattern{regexp.MustCompile(`^[\x{09}\x{0A}\x{0D}\x{20}-\x{FF}]+$`), `[\u0009\u000A\u000D\u0020-\u00FF]+`}
	anyPattern    = pattern{regexp.MustCompile(`(?s).*`), ``}
)

// validation collects what parameters do against their model. AWS reports all
// of it in one error, with lengths in Unicode characters.
type validation struct{ broken []string }

func (v *validation) add(at, value, rule string) {
	v.broken = append(v.broken, fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: Member must %s", value, at, rule))
}

// text checks a parameter that has to be there.
func (v *validation) text(at string, value *string, shortest, longest int, p pattern) {
	if value == nil {
		v.broken = append(v.broken, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", at))
		return
	}
	v.optional(at, value, shortest, longest, p)
}

// optional checks a parameter that may be missing.
func (v *validation) optional(at string, value *string, shortest, longest int, p pattern) {
	if value == nil {
		return
	}
	shown := *value
	if len(shown) > 256 {
		shown = strings.ToValidUTF8(shown[:256], "") + "..."
	}
	n := utf8.RuneCountInString(*value)
	if n > longest {
		v.add(at, shown, fmt.Sprintf("have length less than or equal to %d", longest))
	}
	if n < shortest {
		v.add(at, shown, fmt.Sprintf("have length greater than or equal to %d", shortest))
	}
	if !p.re.MatchString(*value) {
		v.add(at, shown, "satisfy regular expression pattern: "+p.text)
	}
}

// count checks the length of a list.
func (v *validation) count(at string, n, most int) {
	if n > most {
		v.add(at, fmt.Sprintf("[%d members]", n), fmt.Sprintf("have length less than or equal to %d", most))
	}
}

// number checks the range of a number that may be missing.
func (v *validation) number(at string, value *int32, least, most int32) {
	if value == nil {
		return
	}
	if *value > most {
		v.add(at, fmt.Sprint(*value), fmt.Sprintf("have value less than or equal to %d", most))
	}
	if *value < least {
		v.add(at, fmt.Sprint(*value), fmt.Sprintf("have value greater than or equal to %d", least))
	}
}

func (v *validation) err() error {
	switch len(v.broken) {
	case 0:
		return nil
	case 1:
		return validationError("1 validation error detected: %s", v.broken[0])
	}
	return validationError("%d validation errors detected: %s", len(v.broken), strings.Join(v.broken, "; "))
}
