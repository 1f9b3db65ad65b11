package eksauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
)

// AgentStatus is what an agent tells of itself, at podid's own door POST
// /clusters/{clusterName}/agent, for people to see. Nothing is decided by it.
type AgentStatus struct {
	Version string
	Pods    int // that have credentials
	Entries int // tokens in the cache
	// Requests since its start: answered from the cache, after waiting, and with
	// credentials that end soon for want of better.
	Hits, Misses, Stale uint64
}

// agentStatus is the body.
type agentStatus struct {
	Version string `json:"version"`
	Pods    int    `json:"pods"`
	Entries int    `json:"entries"`
	Hits    uint64 `json:"hits"`
	Misses  uint64 `json:"misses"`
	Stale   uint64 `json:"stale"`
}

// maxVersion bounds the name of a version, in bytes.
const maxVersion = 100

// told passes on what an agent tells, if it has proved which node's it is.
func (c Config) told(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	_, node, err := c.authorized(r, caller)
	if err != nil {
		return err
	}
	var in agentStatus
	if err := awswire.DecodeJSON(r, &in); err != nil {
		return err
	}
	if len(in.Version) > maxVersion || in.Pods < 0 || in.Entries < 0 {
		return identity.Errorf(identity.InvalidParameter, "want a version of at most %d bytes, and no negative numbers.", maxVersion)
	}
	if node != "" {
		c.Told(node, AgentStatus(in))
	}
	awswire.WriteJSON(w, r, http.StatusOK, struct{}{})
	return nil
}

// errNobodyHeard says that there is no replica whose changes are heard.
var errNobodyHeard = errors.New("no replica's changes are heard")

// Tell tells the replica whose changes are heard how the agent is.
func (c *Client) Tell(ctx context.Context, s AgentStatus) error {
	r := c.listens.Load()
	if r == nil {
		return errNobodyHeard
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := json.Marshal(agentStatus(s))
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	authorize, err := c.authorization(ctx, body)
	if err != nil {
		return err
	}
	q, err := c.post(ctx, r, "agent", body)
	if err != nil {
		return err
	}
	if err := authorize(ctx, q); err != nil {
		return err
	}
	answer, err := r.http.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	if err != nil {
		return fmt.Errorf("reading the reply: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return readError(answer, text)
	}
	return nil
}
