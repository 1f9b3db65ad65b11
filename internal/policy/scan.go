package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth is one more than the deepest policy needs:
// document, statements, statement, Condition, operator, values.
const maxDepth = 7

type nodeKind int

const (
	objectNode nodeKind = iota
	arrayNode
	stringNode
	numberNode
	booleanNode
	nullNode
)

var nodeNames = [...]string{"an object", "an array", "a string", "a number", "true or false", "null"}

// node is a JSON value that knows where it stands.
type node struct {
	kind       nodeKind
	start, end int      // byte offsets in the text
	text       string   // a string's value; a number or boolean as written
	members    []member // of an object
	items      []node   // of an array
}

type member struct {
	key   string
	start int
	value node
}

// member returns the value under key of an object, or nil.
func (n *node) member(key string) *node {
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i].value
		}
	}
	return nil
}

// scanner reads JSON as RFC 8259 has it, and refuses what that leaves open
// and what two readers could understand differently: duplicate keys, lone
// surrogates, invalid UTF-8. encoding/json takes all three.
type scanner struct {
	text string
	at   int
}

// scan reads one JSON value and nothing after it.
func scan(text string) (node, *SyntaxError) {
	s := scanner{text: text}
	s.space()
	n, err := s.value(0)
	if err != nil {
		return node{}, err
	}
	s.space()
	if s.at != len(text) {
		return node{}, s.fail(s.at, "unexpected text after the policy")
	}
	return n, nil
}

func (s *scanner) fail(at int, format string, args ...any) *SyntaxError {
	return errorAt(s.text, at, "This policy contains invalid Json: "+fmt.Sprintf(format, args...))
}

func (s *scanner) space() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) value(depth int) (node, *SyntaxError) {
	if depth == maxDepth {
		return node{}, s.fail(s.at, "nested too deeply")
	}
	n := node{start: s.at}
	var err *SyntaxError
	switch c := s.peek(); {
	case s.at == len(s.text):
		return n, s.fail(s.at, "unexpected end")
	case c == '{':
		n.kind = objectNode
		n.members, err = s.object(depth)
	case c == '[':
		n.kind = arrayNode
		n.items, err = s.array(depth)
	case c == '"':
		n.kind = stringNode
		n.text, err = s.quoted()
	case c == '-' || '0' <= c && c <= '9':
		n.kind = numberNode
		n.text, err = s.number()
	default:
		n.kind, n.text, err = s.literal()
	}
	n.end = s.at
	return n, err
}

func (s *scanner) literal() (nodeKind, string, *SyntaxError) {
	rest := s.text[s.at:]
	for _, word := range [...]string{"true", "false", "null"} {
		if !strings.HasPrefix(rest, word) {
			continue
		}
		s.at += len(word)
		if word == "null" {
			return nullNode, word, nil
		}
		return booleanNode, word, nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return nullNode, "", s.fail(s.at, "unexpected character %q", r)
}

func (s *scanner) object(depth int) ([]member, *SyntaxError) {
	s.at++
	s.space()
	if s.peek() == '}' {
		s.at++
		return nil, nil
	}
	var members []member
	var seen map[string]bool // made for large objects alone
	for {
		start := s.at
		if s.peek() != '"' {
			return nil, s.fail(s.at, "expected a key in quotes")
		}
		key, err := s.quoted()
		if err != nil {
			return nil, err
		}
		if duplicate(members, seen, key) {
			return nil, s.fail(start, "duplicate key %q", key)
		}
		s.space()
		if s.peek() != ':' {
			return nil, s.fail(s.at, "expected ':' after key %q", key)
		}
		s.at++
		s.space()
		value, err := s.value(depth + 1)
		if err != nil {
			err.under(key)
			return nil, err
		}
		members = append(members, member{key, start, value})
		if seen != nil {
			seen[key] = true
		} else if len(members) == manyMembers {
			seen = keysOf(members)
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case '}':
			s.at++
			return members, nil
		default:
			return nil, s.fail(s.at, "expected ',' or '}'")
		}
	}
}

// manyMembers is from how many members on an object's keys are looked up in a
// map, so that no document takes quadratic time.
const manyMembers = 16

func duplicate(members []member, seen map[string]bool, key string) bool {
	if seen != nil {
		return seen[key]
	}
	for i := range members {
		if members[i].key == key {
			return true
		}
	}
	return false
}

func keysOf(members []member) map[string]bool {
	keys := make(map[string]bool, 2*len(members))
	for i := range members {
		keys[members[i].key] = true
	}
	return keys
}

func (s *scanner) array(depth int) ([]node, *SyntaxError) {
	s.at++
	s.space()
	if s.peek() == ']' {
		s.at++
		return nil, nil
	}
	var items []node
	for {
		item, err := s.value(depth + 1)
		if err != nil {
			err.under(fmt.Sprintf("[%d]", len(items)))
			return nil, err
		}
		items = append(items, item)
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case ']':
			s.at++
			return items, nil
		default:
			return nil, s.fail(s.at, "expected ',' or ']'")
		}
	}
}
