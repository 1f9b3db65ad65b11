package policy

import (
	"strings"
	"unicode/utf8"
)

// Wildcards in compiled patterns are bytes that occur in no UTF-8 text, so
// that a literal "*" (from ${*}, or from the value of a variable) stays one.
const (
	anyRun     = '\xff' // any characters
	anyOne     = '\xfe' // one character
	segmentRun = '\xfd' // any characters but ':'
	segmentOne = '\xfc' // one character but ':', and the least of these bytes
)

// hasWildcard looks at bytes: to strings.ContainsAny all that is no UTF-8 is alike.
func hasWildcard(s string) bool {
	for i := range len(s) {
		if s[i] >= segmentOne {
			return true
		}
	}
	return false
}

var (
	wildcardBytes = strings.NewReplacer("*", "\xff", "?", "\xfe")
	wildcardText  = strings.NewReplacer("\xff", "*", "\xfd", "*", "\xfe", "?", "\xfc", "?")
)

// globMatch tells whether all of s fits pattern.
func globMatch(pattern, s string) bool {
	switch {
	case strings.IndexByte(pattern, segmentRun) >= 0:
		return matchStates(pattern, s)
	case strings.IndexByte(pattern, anyOne) >= 0 || strings.IndexByte(pattern, segmentOne) >= 0:
		return matchBacktracking(pattern, s)
	}
	first, rest, wild := strings.Cut(pattern, string([]byte{anyRun}))
	if !wild {
		return pattern == s
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	// Between stars the leftmost match is always good enough.
	for {
		piece, after, more := strings.Cut(rest, string([]byte{anyRun}))
		if !more {
			return strings.HasSuffix(s, piece)
		}
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(piece):], after
	}
}

// step matches one character of pattern, which is not a run, at the start of
// s and returns what remains of both.
func step(pattern, s string) (string, string, bool) {
	if s == "" {
		return "", "", false
	}
	switch pattern[0] {
	case segmentOne, anyOne:
		if pattern[0] == segmentOne && s[0] == ':' {
			return "", "", false
		}
		_, size := utf8.DecodeRuneInString(s)
		return pattern[1:], s[size:], true
	}
	return pattern[1:], s[1:], pattern[0] == s[0]
}

// matchBacktracking goes back to the last star only: what earlier stars took
// never matters. Its time is at most len(pattern) * len(s).
func matchBacktracking(pattern, s string) bool {
	var starPattern, starText string
	starred := false
	for pattern != "" || s != "" {
		if pattern != "" && pattern[0] == anyRun {
			pattern = pattern[1:]
			starPattern, starText, starred = pattern, s, true
			continue
		}
		if pattern != "" {
			if p, rest, ok := step(pattern, s); ok {
				pattern, s = p, rest
				continue
			}
		}
		if !starred || starText == "" {
			return false
		}
		_, size := utf8.DecodeRuneInString(starText)
		starText = starText[size:]
		pattern, s = starPattern, starText
	}
	return true
}

// matchStates is for patterns with a star that stops at ':', where going back
// to the last star is not enough. It keeps every place of the pattern that
// the text so far can have led to: len(pattern) * len(s) steps at most.
func matchStates(pattern, s string) bool {
	var places []rune // a wildcard is its byte, negated
	for pattern != "" {
		r, size := utf8.DecodeRuneInString(pattern)
		if pattern[0] >= segmentOne {
			r, size = -rune(pattern[0]), 1
		}
		places, pattern = append(places, r), pattern[size:]
	}
	now, next := make([]bool, len(places)+1), make([]bool, len(places)+1)
	now[0] = true
	for _, c := range s {
		clear(next)
		for i, p := range places {
			if !now[i] {
				continue
			}
			switch p {
			case -anyRun, -segmentRun:
				now[i+1] = true // a run may be empty
				next[i] = next[i] || p == -anyRun || c != ':'
			case -anyOne, -segmentOne:
				next[i+1] = p == -anyOne || c != ':'
			default:
				next[i+1] = p == c
			}
		}
		now, next = next, now
	}
	for i, p := range places {
		if now[i] && (p == -anyRun || p == -segmentRun) {
			now[i+1] = true
		}
	}
	return now[len(places)]
}
