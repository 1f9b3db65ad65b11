package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"
)

// upstream stands for the server: it believes every token, after a set time.
type upstream struct {
	*httptest.Server
	calls, inFlight, most atomic.Int64
	delay                 atomic.Int64
	refuses               atomic.Pointer[refusal] // nil: it grants
}

// refusal is what it says instead.
type refusal struct {
	status     int
	code, text string
}

func newUpstream() *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(u.serve))
	return u
}

// sessionToken is as long as those of STS with six tags.
var sessionToken = strings.Repeat("IQoJb3JpZ2luX2Vj", 64)

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	if !strings.HasSuffix(r.URL.Path, "/assume-role-for-pod-identity") { // the agent looks for what else podid's server has
		w.WriteHeader(http.StatusNotFound)
		return
	}
	n := u.calls.Add(1)
	u.most.Store(max(u.most.Load(), u.inFlight.Add(1)))
	defer u.inFlight.Add(-1)
	time.Sleep(time.Duration(u.delay.Load()))
	if no := u.refuses.Load(); no != nil {
		w.Header().Set("x-amzn-ErrorType", no.code)
		w.WriteHeader(no.status)
		fmt.Fprintf(w, `{"message":%q}`, no.text)
		return
	}
	fmt.Fprintf(w, `{"subject":{"namespace":"default","serviceAccount":"app"},"audience":"pods.eks.amazonaws.com",
		"podIdentityAssociation":{"associationArn":"arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-abcdefghijklmnop1","associationId":"a-abcdefghijklmnop1"},
		"assumedRoleUser":{"arn":"arn:aws:sts::444455556666:assumed-role/data/session","assumeRoleId":"AROAEXAMPLE:session"},
		"credentials":{"accessKeyId":"ASIA%016d","secretAccessKey":"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY","sessionToken":"%s","expiration":%d}}`,
		n, sessionToken, time.Now().Add(6*time.Hour).Unix())
}

// reset counts from nothing.
func (u *upstream) reset() { u.calls.Store(0); u.most.Store(0) }

func (u *upstream) address() string { return u.Listener.Addr().(*net.TCPAddr).String() }
