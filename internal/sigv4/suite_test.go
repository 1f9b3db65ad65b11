package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/podid/podid/internal/sigv4"
)

// verifierAt knows the one secret at the given time, whatever the key's id.
func verifierAt(t testing.TB, now time.Time, secret string) *sigv4.Verifier {
	t.Helper()
	v, err := sigv4.New(sigv4.Config{
		Secret: func(context.Context, sigv4.Scope, string) (string, error) { return secret, nil },
		Now:    func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// failure returns what is wrong according to err; -1 if it is not an *Error.
func failure(err error) sigv4.Failure {
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return e.Failure
	}
	return -1
}

func TestPublishedSuite(t *testing.T) {
	suite, err := txtar.ParseFile("testdata/suite.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(suite.Files) < 50 {
		t.Fatalf("only %d requests", len(suite.Files))
	}
	v := verifierAt(t, time.Date(2015, 8, 30, 12, 40, 0, 0, time.UTC), "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	for _, f := range suite.Files {
		t.Run(f.Name, func(t *testing.T) {
			r := readLoosely(t, f.Data)
			scope, err := v.Verify(r)
			if strings.HasPrefix(f.Name, "post-sts-header-after/") {
				// The token is added after signing, as IoT alone allows.
				if failure(err) != sigv4.Mismatch {
					t.Fatalf("an unsigned session token: got %v, want a mismatch", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := (sigv4.Scope{AccessKeyID: "AKIDEXAMPLE", Date: "20150830", Region: "us-east-1", Service: "service"}); scope != want {
				t.Errorf("scope %+v, want %+v", scope, want)
			}
		})
	}
}

// readLoosely reads a request of the suite, in whose first line some bytes are
// not escaped as HTTP wants them.
func readLoosely(t *testing.T, data []byte) *http.Request {
	t.Helper()
	head, body, _ := bytes.Cut(data, []byte("\n\n"))
	line, headers, _ := strings.Cut(string(head), "\n")
	method, target, _ := strings.Cut(strings.TrimSuffix(line, " HTTP/1.1"), " ")
	var escaped strings.Builder
	for _, b := range []byte(target) {
		if b == ' ' || b >= 0x80 {
			escaped.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(b), 16)))
		} else {
			escaped.WriteByte(b)
		}
	}
	raw := method + " " + escaped.String() + " HTTP/1.1\n" + headers + "\n\n" + strings.TrimSuffix(string(body), "\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(raw, "\n", "\r\n"))))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hexHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
