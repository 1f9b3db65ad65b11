package audit

import "regexp"

// maxText bounds free text in an event, in bytes.
const maxText = 4096

// secrets are the forms that credentials have, each with what stays of it: tokens
// in three parts (RFC 7519), what follows "Bearer" (RFC 6750), session tokens and
// other long base64, and AWS secret keys, which are 40 characters of it by themselves.
var secrets = []struct {
	form *regexp.Regexp
	keep string
}{
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*)?`), "[redacted]"},
	{regexp.MustCompile(`(?i)\b(bearer|basic) +[^\s"',;]{8,}`), "$1 [redacted]"},
	{regexp.MustCompile(`[A-Za-z0-9+/_]{100,}={0,2}`), "[redacted]"},
	{regexp.MustCompile(`(^|[\s"'=])[A-Za-z0-9+/]{40}($|[\s"',.;&])`), "${1}[redacted]${2}"},
}

// Redact returns text from elsewhere, such as an error, for an event: cut to a
// length, and without what has the form of a credential. Nothing that podid says
// itself holds any; what callers and AWS say, it cannot know.
func Redact(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	for _, s := range secrets {
		text = s.form.ReplaceAllString(text, s.keep)
	}
	return text
}
