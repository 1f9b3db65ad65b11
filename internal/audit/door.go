package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Path is where a running podid answers queries, with the parameters of
// Query.Values and a Reply. Who may ask is the business of whoever serves it.
const Path = "/audit/events"

// Reply is what a running podid answers.
type Reply struct {
	Events []*Event `json:"events"`           // newest first
	Older  string   `json:"older,omitempty"`  // for the parameter before: there are older events that match
	Newest string   `json:"newest,omitempty"` // for the parameter after
	// Since is the time from which on it has all events: when it started or, once
	// it has forgotten some, that of the oldest it has.
	Since time.Time `json:"since"`
}

// fields are the parameters of a query that are text.
func (q *Query) fields() map[string]*string {
	f := &q.Filter
	return map[string]*string{
		"pod": &f.Pod, "namespace": &f.Namespace, "serviceAccount": &f.ServiceAccount, "role": &f.Role, "account": &f.Account, "user": &f.User,
		"outcome": (*string)(&f.Outcome), "eventName": &f.EventName, "eventSource": &f.EventSource, "accessKeyId": &f.AccessKeyID, "text": &f.Text,
		"before": &q.Before, "after": &q.After,
	}
}

// times are the parameters that are times, in RFC 3339.
func (q *Query) times() map[string]*time.Time {
	return map[string]*time.Time{"since": &q.Filter.Since, "until": &q.Filter.Until}
}

// Values returns q as parameters.
func (q Query) Values() url.Values {
	v := url.Values{}
	for name, text := range q.fields() {
		if *text != "" {
			v.Set(name, *text)
		}
	}
	for name, at := range q.times() {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// ParseQuery reads the parameters of a query. One that it does not know is an
// error, since the answer would not be to what was asked.
func ParseQuery(v url.Values) (q Query, err error) {
	fields, times := q.fields(), q.times()
	for name, values := range v {
		if len(values) != 1 {
			return q, fmt.Errorf("%.40q is given %d times", name, len(values))
		}
		text, isText := fields[name]
		at, isTime := times[name]
		switch {
		case isText:
			*text = values[0]
		case isTime:
			if *at, err = time.Parse(time.RFC3339, values[0]); err != nil {
				return q, fmt.Errorf("%s: want a time such as 2026-11-01T12:00:00Z", name)
			}
		case name == "limit":
			if q.Limit, err = strconv.Atoi(values[0]); err != nil || q.Limit < 1 || q.Limit > MaxPage {
				return q, fmt.Errorf("limit: want a number from 1 to %d", MaxPage)
			}
		default:
			return q, fmt.Errorf("%.40q is no parameter of a query", name)
		}
	}
	return q, nil
}

// Answer answers a query, as Path is to answer it.
func (r *Ring) Answer(q Query) (Reply, error) {
	page, err := r.Query(q)
	if err != nil {
		return Reply{}, err
	}
	reply := Reply{Events: page.Events, Older: page.Older, Newest: page.Newest}
	if reply.Events == nil {
		reply.Events = []*Event{}
	}
	reply.Since = r.since.UTC()
	if written, events := r.snapshot(); written > uint64(len(events)) {
		reply.Since = events[written%uint64(len(events))].EventTime
	}
	return reply, nil
}

// maxReply bounds an answer that is read, in bytes.
const maxReply = 64 << 20

// Ask sends a query to the podid at that URL, without Path.
func Ask(ctx context.Context, client *http.Client, endpoint string, q Query) (Reply, error) {
	return ask(ctx, client, endpoint+Path, q)
}

func ask(ctx context.Context, client *http.Client, target string, q Query) (reply Reply, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target+"?"+q.Values().Encode(), nil)
	if err != nil {
		return reply, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return reply, err
	}
	defer answer.Body.Close()
	body := json.NewDecoder(io.LimitReader(answer.Body, maxReply))
	if answer.StatusCode == http.StatusOK {
		if err := body.Decode(&reply); err != nil {
			return reply, fmt.Errorf("the answer cannot be read: %w", err)
		}
		return reply, nil
	}
	var refusal struct {
		Message string `json:"message"`
	}
	if body.Decode(&refusal) != nil || refusal.Message == "" {
		return reply, fmt.Errorf("the answer has status %s", answer.Status)
	}
	return reply, errors.New(refusal.Message)
}
