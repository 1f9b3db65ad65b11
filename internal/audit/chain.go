package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Head is the end of a chain of lines: the number of its last line, and the
// SHA-256 of that line without its line break, in hexadecimal. The zero value is
// the end of a chain that has not begun. Whoever keeps a head elsewhere can prove
// that nothing before it was changed.
type Head struct {
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"`
}

// String returns SEQUENCE:HASH, as ParseHead reads it.
func (h Head) String() string { return strconv.FormatUint(h.Sequence, 10) + ":" + h.Hash }

// ParseHead reads what String wrote.
func ParseHead(text string) (Head, error) {
	number, hash, _ := strings.Cut(strings.TrimSpace(text), ":")
	sequence, err := strconv.ParseUint(number, 10, 64)
	raw, err2 := hex.DecodeString(hash)
	if err != nil || err2 != nil || len(raw) != sha256.Size {
		return Head{}, fmt.Errorf("%.100q is not the head of an audit file: want SEQUENCE:HASH, a number and 64 hexadecimal digits", text)
	}
	return Head{sequence, hex.EncodeToString(raw)}, nil
}

// Link ties a line to the one before it. It is the last member of the line.
type Link struct {
	Sequence     uint64 `json:"sequence"`     // 1 for the first line of all; over files and restarts
	PreviousHash string `json:"previousHash"` // SHA-256 of the line before, without its line break; "" in the first
}

// chained makes the line that follows h of an event in JSON, and the head after it.
func (h Head) chained(event []byte) (line []byte, next Head) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(event, []byte{'\n'}), []byte{'}'})
	line = fmt.Appendf(line, `,"chain":{"sequence":%d,"previousHash":"%s"}}`, h.Sequence+1, h.Hash)
	return append(line, '\n'), Head{h.Sequence + 1, hashOf(line)}
}

func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// linkOf returns the link of a whole line; false: it has none.
func linkOf(line []byte) (Link, bool) {
	var l struct {
		Chain *Link `json:"chain"`
	}
	if json.Unmarshal(line, &l) != nil || l.Chain == nil {
		return Link{}, false
	}
	return *l.Chain, true
}

// maxLine bounds the lines that are read, in bytes.
const maxLine = 1 << 20

// errLong is told of a line that is longer than maxLine, in its place.
var errLong = errors.New("the line is longer than 1 MiB")

// eachLine calls do for each line of r, from 1, without its line break. whole
// tells whether it had one; err, in place of the line, that it is too long.
// It returns the error of r or of do.
func eachLine(r io.Reader, do func(n int, line []byte, whole bool, err error) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		var line []byte
		long := false
		for {
			part, err := in.ReadSlice('\n')
			if long = long || len(line)+len(part) > maxLine; !long {
				line = append(line, part...)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			end := errors.Is(err, io.EOF)
			if err != nil && !end {
				return err
			}
			if end && len(line) == 0 && !long {
				return nil
			}
			body, whole := bytes.CutSuffix(line, []byte{'\n'})
			whole = whole || long && !end
			var failure error
			if long {
				body, failure = nil, errLong
			}
			if err := do(n, body, whole, failure); err != nil {
				return err
			}
			if end {
				return nil
			}
			break
		}
	}
}
