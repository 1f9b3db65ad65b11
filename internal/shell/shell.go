// Package shell writes words for POSIX shells.
package shell

import "strings"

// Word quotes s, where that is needed, so that a shell reads it as one word
// (POSIX.1-2024, Shell Command Language, section 2.2).
func Word(s string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@+", r))
	}
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
