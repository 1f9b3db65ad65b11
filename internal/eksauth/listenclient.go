package eksauth

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Held is what an agent has of an association.
type Held struct {
	Namespace      string
	ServiceAccount string
	AssociationID  string
	Version        string
}

// Change is what a stream says.
type Change struct {
	Kind ChangeKind
	// Sequence is when it was so. It orders what different replicas say.
	Sequence uint64
	// The rest is of Changed alone.
	Namespace      string
	ServiceAccount string
	AssociationID  string
	Version        string // empty: there is no association any more
}

// ChangeKind says what a Change means.
type ChangeKind int

const (
	// Alive: nothing has changed since the last time.
	Alive ChangeKind = iota
	// Changed: the association of a service account is now of that version.
	Changed
	// Current: what was held when the stream began is so, but for what was
	// Changed before; and from now on every change is told.
	Current
)

// ErrNoChanges says that the service does not tell of changes, as AWS's does not.
var ErrNoChanges = errors.New("the service does not tell of changes")

const (
	// firstWord is how long a replica may take to say what of the things held is
	// so: it may have to catch up first.
	firstWord = catchUp + 2*time.Second
	// silenced is how long a stream may say nothing before it is taken for dead.
	silenced = 3 * alive
	// maxLine bounds a line, in bytes. Names have at most 63 and 253.
	maxLine = 4 << 10
)

// Listen asks what of held is still so, and tells heard of that and then of each
// change as it comes. It returns when the stream has ended, with the reason:
// ErrNoChanges, an *Error if the service refused, or another error.
func (c *Client) Listen(ctx context.Context, held []Held, heard func(Change)) error {
	since := c.heard.latest()
	in := listenRequest{Since: since, Held: []heldAssociation{}}
	for _, h := range held {
		in.Held = append(in.Held, heldAssociation(h))
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	line, err := c.replicas(ctx)
	if err != nil {
		return err
	}
	for _, r := range line[:min(len(line), maxTries)] {
		err = c.listenTo(ctx, r, body, func(said Change) {
			if said.Kind == Current {
				c.heard.note(since, said.Sequence)
			} else {
				c.heard.note(0, said.Sequence)
			}
			heard(said)
		})
		refused, ok := errors.AsType[*Error](err)
		if !ok || refused.Code != behindException {
			c.doubt()
			return err
		}
	}
	c.heard.behind(time.Now())
	return err
}

// listenTo is Listen at one replica.
func (c *Client) listenTo(ctx context.Context, r *replica, body []byte, heard func(Change)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(firstWord, func() { cancel(errors.New("the stream has gone silent")) })
	defer silence.Stop()
	authorize, err := c.authorization(ctx, body)
	if err != nil {
		return err
	}
	q, err := c.post(ctx, r, "changes", body)
	if err != nil {
		return err
	}
	if err := authorize(ctx, q); err != nil {
		return err
	}
	defer c.listens.Store(nil)
	err = c.read(r, q, func(said Change) {
		silence.Reset(silenced)
		c.listens.Store(r)
		heard(said)
	})
	if _, refused := errors.AsType[*Error](err); refused {
		r.answered()
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if !errors.Is(err, context.Canceled) && !errors.Is(err, errEnded) {
		r.failed(time.Now()) // so that the next one is asked first
	}
	return err
}

// errEnded says that the server has ended a stream, as it does now and then.
var errEnded = errors.New("the server has ended the stream")

func (c *Client) read(r *replica, q *http.Request, heard func(Change)) error {
	answer, err := r.http.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply))
		if err != nil {
			return fmt.Errorf("reading the reply: %w", err)
		}
		refused := readError(answer, text)
		if refused.Code == "UnknownOperationException" {
			return ErrNoChanges
		}
		return refused
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		said, err := readChange(lines.Bytes())
		if err != nil {
			return err
		}
		heard(said)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the changes: %w", err)
	}
	return errEnded
}

func readChange(line []byte) (Change, error) {
	var w wireChange
	if json.Unmarshal(line, &w) != nil {
		return Change{}, errors.New("the stream is not JSON of the expected shape")
	}
	c := Change{Sequence: w.Sequence, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, AssociationID: w.AssociationID, Version: w.Version}
	switch w.Type {
	case typeChanged:
		c.Kind = Changed
	case typeCurrent:
		c.Kind = Current
	default: // what a newer server says is a sign of life
		c = Change{Kind: Alive, Sequence: w.Sequence}
	}
	return c, nil
}
