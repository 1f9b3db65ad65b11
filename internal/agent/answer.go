package agent

import (
	"errors"
	"math/rand/v2"
	"strconv"
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
// guarded by the cache's lock; the rest does not change.
type answer struct {
	json    []byte
	length  []string // of json, as a header's value
	token   identity.Secret
	claims  claims
	expires time.Time
	lowAt   time.Time // from here on there is too little life left to hand it out

	renewAt   time.Time // from here on it is renewed while it is handed out
	handedOut bool      // at least once
}

// newAnswer makes the answer of a grant that arrived at the given time. It is
// to be renewed at two thirds of its life, give or take a twelfth, so that
// pods that started together do not renew together.
func newAnswer(g *eksauth.Grant, token identity.Secret, claims claims, now time.Time) (*answer, error) {
	text, err := encode(g)
	if err != nil {
		return nil, err
	}
	expires := g.Session.Credentials.Expires
	life := expires.Sub(now)
	if life <= 0 {
		return nil, errors.New("the credentials have expired already")
	}
	a := &answer{
		json:    text,
		length:  []string{strconv.Itoa(len(text))},
		token:   token,
		claims:  claims,
		expires: expires,
		lowAt:   expires.Add(-leastLife),
		renewAt: now.Add(time.Duration((7.0/12 + rand.Float64()/6) * float64(life))),
	}
	if a.lowAt.Before(a.renewAt) { // so short a life that all of it would be too little
		a.lowAt = a.renewAt
	}
	return a, nil
}

// freshness is what is to be done about an answer before it is handed out.
type freshness int

const (
	fresh  freshness = iota // nothing
	ageing                  // renew it, and hand it out meanwhile
	low                     // renew it first, if the upstream answers soon
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
