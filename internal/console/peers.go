package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/podid/podid/internal/identity"
)

// LocalPrefix is where replicas ask each other for what each has alone.
const LocalPrefix = Prefix + "/local"

// Peers asks the other replicas.
type Peers interface {
	// Ask asks each for a path, with what query makes of its name, which is that of
	// its Source; nil: it is not asked. The token is the user's.
	Ask(ctx context.Context, authorization, path string, query func(peer string) url.Values) []PeerAnswer
}

// PeerAnswer is what a peer has said, or why it has not.
type PeerAnswer struct {
	Peer string
	Body []byte
	Err  error
}

// ask asks the peers, with the user's own token, and reads what they say.
func ask[T any](c *Console, k *call, path string, query func(peer string) url.Values) (said []T, partial []Partial) {
	if c.config.Peers == nil {
		return nil, nil
	}
	for _, a := range c.config.Peers.Ask(k.Context(), k.Header.Get("Authorization"), LocalPrefix+path, query) {
		var one T
		err := a.Err
		if err == nil {
			err = json.Unmarshal(a.Body, &one)
		}
		if checked, ok := any(one).(interface{ check() error }); ok && err == nil {
			err = checked.check()
		}
		if err != nil {
			partial = append(partial, Partial{Source: a.Peer, Reason: reasonOf(err)})
			continue
		}
		said = append(said, one)
	}
	return said, partial
}

func reasonOf(err error) string {
	if identity.KindOf(err) != identity.Internal {
		return identity.SafeMessage(err)
	}
	return "it did not answer in time, or not as expected"
}

// Local is what the other replicas ask of this one, below LocalPrefix. They show
// the token of the user they ask for, who is judged here too.
func (c *Console) Local() http.Handler {
	mux := http.NewServeMux()
	for path, answer := range map[string]func(*call) (any, error){
		"/activity": c.localActivity, "/counts": c.localCounts, "/health": c.localHealth,
	} {
		mux.Handle(fmt.Sprintf("GET %s%s", LocalPrefix, path), c.route(answer))
	}
	mux.Handle("GET "+LocalPrefix+"/name", c.route(c.name))
	return secured(mux)
}

// name tells which replica this is: nothing that a user of the console is not told.
func (c *Console) name(*call) (any, error) {
	if c.config.Local == nil {
		return "", nil
	}
	return c.config.Local.Name(), nil
}
