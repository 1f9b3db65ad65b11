package policy

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? and returns it as written.
func (s *scanner) number() (string, *SyntaxError) {
	start := s.at
	digits := func() bool {
		from := s.at
		for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
			s.at++
		}
		return s.at > from
	}
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !digits() {
		return "", s.fail(start, "not a number")
	}
	if s.peek() == '.' {
		s.at++
		if !digits() {
			return "", s.fail(start, "not a number")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !digits() {
			return "", s.fail(start, "not a number")
		}
	}
	return s.text[start:s.at], nil
}

// quoted reads a string. One without escapes is a part of the text, not a copy.
func (s *scanner) quoted() (string, *SyntaxError) {
	start := s.at
	s.at++
	var out strings.Builder
	from := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			part := s.text[from:s.at]
			s.at++
			if out.Len() == 0 {
				return part, nil
			}
			out.WriteString(part)
			return out.String(), nil
		case c < ' ':
			return "", s.fail(s.at, "control character %#02x in a string", c)
		case c == '\\':
			out.WriteString(s.text[from:s.at])
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			out.WriteRune(r)
			from = s.at
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, size := utf8.DecodeRuneInString(s.text[s.at:])
			if r == utf8.RuneError && size == 1 {
				return "", s.fail(s.at, "invalid UTF-8")
			}
			s.at += size
		}
	}
	return "", s.fail(start, "unterminated string")
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (s *scanner) escape() (rune, *SyntaxError) {
	start := s.at
	s.at++
	c := s.peek()
	s.at++
	if c != 'u' {
		r, ok := escapes[c]
		if !ok {
			return 0, s.fail(start, "unknown escape in a string")
		}
		return r, nil
	}
	r, ok := s.hex4()
	if ok && utf16.IsSurrogate(r) {
		ok = strings.HasPrefix(s.text[s.at:], `\u`)
		if ok {
			s.at += 2
			var low rune
			low, ok = s.hex4()
			r = utf16.DecodeRune(r, low)
			ok = ok && r != utf8.RuneError
		}
	}
	if !ok {
		return 0, s.fail(start, "not a Unicode escape")
	}
	return r, nil
}

func (s *scanner) hex4() (rune, bool) {
	if len(s.text)-s.at < 4 {
		return 0, false
	}
	var r rune
	for range 4 {
		c := s.text[s.at]
		s.at++
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
