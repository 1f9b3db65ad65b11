package eksauth

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"time"
)

const (
	// maxTries is how often one call is tried at most.
	maxTries = 3
	// silence is how long a replica may take to connect, and then to show that
	// it lives. It is a small part of the second after which the JavaScript SDK
	// gives up (https://github.com/aws/aws-sdk-js-v3/tree/main/packages/credential-provider-http),
	// and many times what a network inside a cluster takes.
	silence = 250 * time.Millisecond
	// quiet is how long a replica that says again and again that it works on a call
	// may say nothing, before it is taken for dead after all.
	quiet = 3 * aliveEvery
	// pause is how long a call waits before it tries once more what has just
	// failed, up to as long again at random.
	pause = 50 * time.Millisecond
)

// sign is what a try has seen of its replica.
type sign struct {
	try      int
	answered bool // it has said something; or else: a connection to it is there
	working  bool // it has said that it works on the call, and will again
}

// outcome is what came of one try.
type outcome struct {
	try     int
	replica *replica
	grant   *Grant
	err     error
}

// tryReplicas calls one replica after the other until one gives an answer, and
// returns that. Where none does, it returns the last refusal, or else the last
// failure.
func (c *Client) tryReplicas(ctx context.Context, call func(context.Context, *replica) (*Grant, error)) (*Grant, error) {
	line, err := c.replicas(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	outcomes := make(chan outcome)
	signs := make(chan sign, 4*maxTries)
	begun, running := 0, 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			<-outcomes
		}
	}()
	var asked [maxTries + 1]*replica // by try
	begin := func() {
		r := line[begun%len(line)]
		if begun >= len(line) {
			if found := c.another(line); found != nil { // since one of them failed
				r, line = found, append(line, found)
			}
		}
		begun++
		asked[begun] = r
		running++
		go func(try int) {
			grant, err := call(watched(ctx, try, signs), r)
			outcomes <- outcome{try, r, grant, err}
		}(begun)
	}
	begin()
	silent, again, gone := time.NewTimer(c.silence()), time.NewTimer(c.timeout), time.NewTimer(c.timeout)
	again.Stop()
	gone.Stop()
	var alive, ended [maxTries + 1]bool // by try
	works := func() bool {              // one of those under way has answered, and is waited for
		for try := range alive {
			if alive[try] && !ended[try] {
				return true
			}
		}
		return false
	}
	var failure error
	for {
		select {
		case <-silent.C:
			if !works() && !ended[begun] {
				asked[begun].failed(time.Now())
				c.doubt()
				again.Reset(0)
			}
		case <-gone.C: // it lived, and was to say so again
			for try := range alive {
				if alive[try] && !ended[try] {
					alive[try] = false
					asked[try].failed(time.Now())
					c.doubt()
				}
			}
			again.Reset(0)
		case s := <-signs:
			alive[s.try] = alive[s.try] || s.answered
			if s.working {
				gone.Reset(quiet)
			}
			if s.try == begun && !ended[s.try] { // many connections at once take their time
				silent.Reset(c.silence())
			}
		case <-again.C:
			if begun < maxTries && !works() {
				begin()
				silent.Reset(c.silence())
			}
		case o := <-outcomes:
			running--
			ended[o.try] = true
			if err := o.judge(ctx); err == nil || !worthRetrying(err) {
				return o.grant, err
			} else if _, refused := errors.AsType[*Error](err); refused || failure == nil {
				failure = err
			}
			c.doubt()
			switch {
			case ctx.Err() != nil, begun == maxTries && running == 0:
				return nil, failure
			case !ended[begun]: // a later try goes on
				silent.Reset(c.silence())
			case begun < len(line):
				again.Reset(0)
			default:
				again.Reset(pause + rand.N(pause))
			}
		}
	}
}

// watched returns ctx with what passes on the signs of one try.
func watched(ctx context.Context, try int, signs chan<- sign) context.Context {
	tell := func(s sign) {
		s.try = try
		select {
		case signs <- s:
		default: // net/http tries again by itself, and may go on doing so
		}
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { tell(sign{}) },
		GotFirstResponseByte: func() { tell(sign{answered: true}) },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			tell(sign{answered: true, working: code == http.StatusProcessing})
			return nil
		},
	})
}

// silence is how long to wait for a sign of life before another try begins
// beside the one under way; for ever, where replicas give no such sign.
func (c *Client) silence() time.Duration {
	if !c.hedged {
		return c.timeout
	}
	return silence
}

// judge tells the replica how it did.
func (o outcome) judge(ctx context.Context) error {
	if _, refused := errors.AsType[*Error](o.err); o.err == nil || refused {
		o.replica.answered()
	} else if ctx.Err() == nil {
		o.replica.failed(time.Now())
	}
	return o.err
}

// worthRetrying tells whether another replica, or the same one a little later,
// might do better. What says itself when to come back is believed.
func worthRetrying(err error) bool {
	e, refused := errors.AsType[*Error](err)
	return !refused || e.Status >= http.StatusInternalServerError && e.RetryAfter == 0
}
