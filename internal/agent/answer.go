package agent

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
)

const (
	// leastLife is how long credentials are good for when they are handed out,
	// while the upstream answers. SDKs that want five minutes
	// (https://github.com/aws/aws-sdk-go-v2/tree/main/credentials/endpointcreds)
	// would come back again and again for anything shorter.
	leastLife = 5 * time.Minute
	// retryRenewal is how long after a failed renewal the next is tried, up to
	// as long again at random.
	retryRenewal = 30 * time.Second
)

// answer is what a pod is given, and for how long. renewAt and handedOut are
// guarded by the cache's lock; of the rest nothing changes but shown.
type answer struct {
	grant   eksauth.Grant
	cluster string // name; empty: the grant does not say
	arrived time.Time
	expires time.Time
	lowAt   time.Time // from here on there is too little life left to hand it out
	shown   atomic.Pointer[body]

	renewAt   time.Time // from here on it is renewed while it is handed out
	handedOut bool      // at least once
}

// body is an answer as it is sent.
type body struct {
	json    []byte
	length  []string // of json, as a header's value
	staleAt time.Time
}

// newAnswer makes the answer of a grant that arrived at the given time. It is
// to be renewed at two thirds of its life, give or take a twelfth, so that pods
// that started together do not renew together; and after renewAfter at the latest.
func newAnswer(g *eksauth.Grant, now time.Time, renewAfter time.Duration) (*answer, error) {
	if g == nil {
		return nil, errors.New("no credentials in the answer")
	}
	expires := g.Session.Credentials.Expires
	life := expires.Sub(now)
	if life <= 0 {
		return nil, errors.New("the credentials have expired already")
	}
	due := float64(min(life*3/4, renewAfter))
	a := &answer{
		grant:   *g,
		cluster: once(clusterOf(g.AssociationARN)),
		arrived: now,
		expires: expires,
		lowAt:   expires.Add(-leastLife),
		renewAt: now.Add(time.Duration((7 + 2*rand.Float64()) / 9 * due)),
	}
	for _, text := range []*string{&a.grant.Namespace, &a.grant.ServiceAccount, &a.grant.AssociationARN, &a.grant.AssociationID, &a.grant.Version} {
		*text = once(*text)
	}
	if a.lowAt.Before(a.renewAt) { // so short a life that all of it would be too little
		a.lowAt = a.renewAt
	}
	first, err := a.encode(now)
	if err != nil {
		return nil, err
	}
	a.shown.Store(first)
	if g.Lease == 0 { // it is never encoded again
		a.grant.Session = identity.Session{}
	}
	return a, nil
}

// clusterOf reads arn:PARTITION:eks:REGION:ACCOUNT:podidentityassociation/CLUSTER/ID.
func clusterOf(associationARN string) string {
	arn, err := identity.ParseARN(associationARN)
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(arn.Resource, "/")
	cluster, _, _ := strings.Cut(rest, "/")
	return cluster
}

// body returns the answer as it is to be sent at the given time.
func (a *answer) body(now time.Time) *body {
	b := a.shown.Load()
	if now.Before(b.staleAt) {
		return b
	}
	if next, err := a.encode(now); err == nil { // it was encoded before, so it can be
		a.shown.Store(next)
		return next
	}
	return b
}

// encode makes the body. Under a lease the pod is told of an earlier end, so
// that its SDK comes back sooner, and gets the same credentials again while
// they are to be had. The end is set anew when a sixteenth of the lease has
// passed, and not for each pod that asks.
func (a *answer) encode(now time.Time) (*body, error) {
	until, staleAt := a.expires, a.expires
	if lease := a.grant.Lease; lease > 0 && now.Add(lease).Before(until) {
		until, staleAt = now.Add(lease), now.Add(lease/16)
	}
	text, err := encode(a.grant.Session, until)
	if err != nil {
		return nil, err
	}
	return &body{json: text, length: []string{strconv.Itoa(len(text))}, staleAt: staleAt}, nil
}

// freshness is what is to be done about an answer before it is handed out.
type freshness int

const (
	fresh    freshness = iota // nothing
	ageing                    // renew it, and hand it out meanwhile
	low                       // renew it first, if the upstream answers soon
	unproven                  // the same: it may have been revoked
)

func (a *answer) freshness(now time.Time) freshness {
	switch {
	case !now.Before(a.lowAt):
		return low
	case !now.Before(a.renewAt):
		return ageing
	}
	return fresh
}

// postpone puts off the renewal that has failed.
func (a *answer) postpone(now time.Time) { a.renewAt = now.Add(retryRenewal + rand.N(retryRenewal)) }
