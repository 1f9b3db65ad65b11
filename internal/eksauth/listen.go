package eksauth

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/identity"
)

// Headers of podid's own: agents send the highest sequence that they have heard
// of, and grants come with the sequence at which they hold, and the version of
// their association.
const (
	SequenceHeader = "X-Podid-Sequence"
	VersionHeader  = "X-Podid-Association-Version"
)

// behindException is what a replica says that has not yet come to what an agent
// has heard elsewhere.
const behindException = "ReplicaBehindException"

const (
	// MaxHeld bounds the associations that an agent can ask about at once.
	MaxHeld = 2000
	// alive is how often a stream says something.
	alive = 5 * time.Second
	// gather is how long a stream waits for more changes before it writes again.
	gather = 20 * time.Millisecond
	// streamLife is how long a stream goes on, up to a half more at random. Then
	// its agent chooses a replica anew, and proves anew who it is.
	streamLife = 10 * time.Minute
	// writeTime bounds one write to a stream: who reads slower is cut off.
	writeTime = 10 * time.Second
	// catchUp is how long a request waits for this replica to come to what its
	// agent has heard from another; half a second, while a pod waits.
	catchUp      = 2 * time.Second
	catchUpGrant = 500 * time.Millisecond
)

// behind marks that a replica is.
type behind struct{ error }

func (b *behind) Unwrap() error { return b.error }

// caughtUp returns the sequence at which a grant for r will hold, once this
// replica has come to what the agent has heard of.
func (c Config) caughtUp(r *http.Request) (uint64, error) {
	if c.Changes == nil {
		return 0, nil
	}
	heard := uint64(0)
	if text := r.Header.Get(SequenceHeader); text != "" {
		var err error
		if heard, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, identity.Errorf(identity.InvalidParameter, "%s: want a number.", SequenceHeader)
		}
	}
	return c.sequence(r.Context(), heard, catchUpGrant)
}

// sequence waits until this replica has come to what was heard, and returns the
// sequence at which what is looked up now will hold. That is less than heard,
// if heard is of a store that there is no more.
func (c Config) sequence(ctx context.Context, heard uint64, patience time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch err := c.Changes.CaughtUp(ctx, heard); {
	case err == nil:
		return max(heard, c.Changes.Sequence()), nil
	case identity.KindOf(err) == identity.InvalidRequest:
		return c.Changes.Sequence(), nil
	default:
		return 0, &behind{err}
	}
}

// listen answers an agent with what is no longer so of what it holds, and then
// with the changes as they come, until it goes away.
func (c Config) listen(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	cluster, node, err := c.authorized(r, caller)
	if err != nil {
		return err
	}
	var in listenRequest
	if err := awswire.DecodeJSON(r, &in); err != nil {
		return err
	}
	if len(in.Held) > MaxHeld {
		return identity.Errorf(identity.InvalidParameter, "held: at most %d associations.", MaxHeld)
	}
	// It listens before it looks, so that what changes meanwhile is heard too.
	listener, err := c.Changes.Listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	sequence, err := c.sequence(r.Context(), in.Since, catchUp)
	if err != nil {
		return err
	}
	first, err := c.outdated(r.Context(), cluster, in.Held, sequence)
	if err != nil {
		return err
	}
	s := stream{to: w, control: http.NewResponseController(w), delivered: c.Delivered}
	// The server's own limits are for requests that end.
	if err := errors.Join(s.control.SetReadDeadline(time.Time{}), s.control.SetWriteDeadline(time.Now().Add(writeTime))); err != nil {
		return err
	}
	awswire.RESTJSON{}.Identify(w, r)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	if s.write(append(first, wireChange{Type: typeCurrent, Sequence: sequence})) == nil {
		ctx, cancel := context.WithTimeout(r.Context(), streamLife+rand.N(streamLife/2))
		defer cancel()
		defer c.Streaming(node)()
		s.follow(ctx, listener, cluster.Name, sequence)
	}
	return nil
}

// outdated returns what of held is no longer so.
func (c Config) outdated(ctx context.Context, cluster identity.Cluster, held []heldAssociation, sequence uint64) ([]wireChange, error) {
	var out []wireChange
	for _, h := range held {
		a, err := c.Lookup(ctx, cluster.Name, h.Namespace, h.ServiceAccount)
		switch {
		case err != nil && identity.KindOf(err) != identity.NotFound:
			return nil, err
		case err == nil && a.ID == h.AssociationID && a.Version() == h.Version:
			continue
		}
		gone := wireChange{Type: typeChanged, Sequence: sequence, Namespace: h.Namespace, ServiceAccount: h.ServiceAccount, AssociationID: h.AssociationID}
		if err == nil {
			gone.AssociationID, gone.Version = a.ID, a.Version()
		}
		out = append(out, gone)
	}
	return out, nil
}

// stream writes to an agent.
type stream struct {
	to      http.ResponseWriter
	control *http.ResponseController

	delivered func(after time.Duration)
}

// follow passes the changes of a cluster on until the agent or the server goes away.
func (s stream) follow(ctx context.Context, from *changes.Listener, cluster string, sequence uint64) {
	for {
		wait, cancel := context.WithTimeout(ctx, alive)
		batch, err := from.Next(wait)
		cancel()
		var lines []wireChange
		for _, c := range batch {
			if c.Cluster == cluster {
				lines = append(lines, wireOf(c))
			}
			sequence = max(sequence, c.Sequence)
		}
		switch {
		case ctx.Err() != nil, err != nil && !errors.Is(err, context.DeadlineExceeded):
			return
		case err != nil:
			lines = []wireChange{{Type: typeAlive, Sequence: sequence}}
		case len(lines) == 0:
			continue
		}
		if s.write(lines) != nil {
			return
		}
		for _, c := range batch {
			if c.Cluster == cluster {
				s.delivered(time.Since(c.Seen))
			}
		}
		select {
		case <-time.After(gather):
		case <-ctx.Done():
			return
		}
	}
}

func (s stream) write(lines []wireChange) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	encoder := json.NewEncoder(s.to)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return s.control.Flush()
}
