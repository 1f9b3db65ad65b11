package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Verdict is what Verify found of the files of one chain.
type Verdict struct {
	Lines     int  // with a link
	Unchained int  // whole lines from before there were links
	Torn      int  // parts of lines, as a crash leaves them; they prove nothing either way
	First     Link // of the first line with a link; where its sequence is not 1, what came before is not in the files
	Head      Head // after the last line
	Fault     *Fault
}

// Fault is the first place at which a chain is broken.
type Fault struct {
	File string
	Line int // from 1; 0: the end of all files
	Text string
}

func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.Text
	}
	return fmt.Sprintf("%s, line %d: %s", f.File, f.Line, f.Text)
}

// Verify checks the chain through files, oldest first, and that it comes by each
// of the heads given, which somebody noted earlier. Its error is one of reading;
// a chain that is broken is in the verdict.
//
// A chain without a fault shows that no line was changed, removed, added or
// moved between its first line and the last head that was given. It does not show
// that the files are not a forgery as a whole: only a head that was kept where
// the forger could not write does.
func Verify(files []string, heads ...Head) (Verdict, error) {
	v := &verifying{wanted: map[uint64]Head{}}
	for _, h := range heads {
		if h.Sequence > 0 {
			v.wanted[h.Sequence] = h
		}
	}
	for _, path := range files {
		err := v.file(path)
		if fault, ok := errors.AsType[*Fault](err); ok {
			v.Fault = fault
			return v.Verdict, nil
		}
		if err != nil {
			return v.Verdict, err
		}
	}
	for _, h := range heads {
		if h.Sequence > v.Head.Sequence && v.Fault == nil && len(files) > 0 {
			v.Fault = &Fault{files[len(files)-1], 0, fmt.Sprintf("the files end at line %d of the chain, and line %d is known to have been written: their end is missing", v.Head.Sequence, h.Sequence)}
		}
	}
	return v.Verdict, nil
}

// verifying is a Verify under way.
type verifying struct {
	Verdict
	wanted map[uint64]Head // by sequence
}

func (v *verifying) file(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return v.read(path, file)
}

func (v *verifying) read(path string, r io.Reader) error {
	return eachLine(r, func(n int, line []byte, _ bool, err error) error {
		fault := func(format string, args ...any) error { return &Fault{path, n, fmt.Sprintf(format, args...)} }
		link, ok := linkOf(line)
		switch _, parsed := parse(line); {
		case err != nil:
			return fault("%v", err)
		case !ok && !parsed:
			v.Torn++
			return nil
		case !ok && v.Lines > 0:
			return fault("the line has no link, and those before it have: it was put in, or its link taken out")
		case !ok:
			v.Unchained++
			return nil
		case v.Lines == 0:
			v.First = link
			if (link.Sequence == 1) != (link.PreviousHash == "") || link.Sequence == 0 {
				return fault("the line is no beginning of a chain: sequence %d, previous hash %.64q", link.Sequence, link.PreviousHash)
			}
		case link.Sequence != v.Head.Sequence+1:
			return fault("line %d of the chain follows line %d: lines between them were removed, or lines were moved or put in", link.Sequence, v.Head.Sequence)
		case link.PreviousHash != v.Head.Hash:
			return fault("the line before it in the chain was changed: it has the hash %s, and had %.64s when this one was written", v.Head.Hash, link.PreviousHash)
		}
		v.Lines++
		v.Head = Head{link.Sequence, hashOf(line)}
		if wanted, ok := v.wanted[link.Sequence]; ok && wanted != v.Head {
			return fault("the line was changed: it has the hash %s, and had %s when that was noted", v.Head.Hash, wanted.Hash)
		}
		return nil
	})
}

// NotedHead returns the head that is kept beside an audit file; zero where there
// is none. It is where whoever can change the file can write too: it shows what a
// crash or a clumsy hand cut off.
func NotedHead(path string) (Head, error) { return notedHead(path) }
