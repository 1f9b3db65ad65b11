package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

const (
	// maxWaiting bounds those that wait for activity at once; who comes then is
	// answered at once.
	maxWaiting = 200
	// askEvery is how often is asked for whoever waits.
	askEvery = time.Second
	// maxBuckets bounds the buckets of counts.
	maxBuckets = 500
)

// Source is what a replica has of its own.
type Source interface {
	// Name tells replicas apart, and from what they were before a restart.
	Name() string
	// Events returns a page of its audit events.
	Events(q audit.Query) (audit.Page, error)
	// Health is how it is.
	Health(ctx context.Context) LocalHealth
}

// LocalActivity is what one replica answers another.
type LocalActivity struct {
	Source  string       `json:"source"`
	Items   []AuditEvent `json:"items"`
	Cursors []string     `json:"cursors"` // of the items
	More    bool         `json:"more"`    // there are older ones
	Newer   string       `json:"newer"`
}

// LocalCounts is the same of counts.
type LocalCounts struct {
	Source string `json:"source"`
	Counts Counts `json:"counts"`
}

// activities reads an ActivityFilter.
func (q *query) activities(now time.Time) ActivityFilter {
	f := ActivityFilter{From: q.moment("from", now), To: q.moment("to", now)}
	for _, word := range q.words("q") {
		f.any = append(f.any, []audit.Filter{{Text: word}})
	}
	for name, set := range map[string]func(*audit.Filter, string){
		"outcome":        func(f *audit.Filter, v string) { f.Outcome = audit.Outcome(v) },
		"event":          func(f *audit.Filter, v string) { f.EventName = v },
		"source":         func(f *audit.Filter, v string) { f.EventSource = v },
		"user":           func(f *audit.Filter, v string) { f.User = v },
		"namespace":      func(f *audit.Filter, v string) { f.Namespace = v },
		"serviceAccount": func(f *audit.Filter, v string) { f.ServiceAccount = v },
		"pod":            func(f *audit.Filter, v string) { f.Pod = v },
		"role":           func(f *audit.Filter, v string) { f.Role = v },
		"account":        func(f *audit.Filter, v string) { f.Account = v },
		"accessKey":      func(f *audit.Filter, v string) { f.AccessKeyID = v },
	} {
		var one []audit.Filter
		for _, v := range q.all(name) {
			var f audit.Filter
			set(&f, v)
			one = append(one, f)
		}
		if len(one) > 0 {
			f.any = append(f.any, one)
		}
	}
	for _, o := range q.values["outcome"] {
		if o != "" && !slices.Contains([]audit.Outcome{audit.Granted, audit.Refused, audit.Admitted}, audit.Outcome(o)) {
			q.fail("outcome: want granted, refused or admitted.")
		}
	}
	if clusters := q.all("cluster"); len(clusters) > 0 {
		f.all = append(f.all, func(e *audit.Event) bool { return slices.Contains(clusters, e.ClusterName) })
	}
	if ids := q.all("association"); len(ids) > 0 {
		f.all = append(f.all, func(e *audit.Event) bool {
			return e.Association != nil && slices.Contains(ids, e.Association.ID) || e.Before != nil && slices.Contains(ids, e.Before.ID)
		})
	}
	return f
}

// moment reads a time, or a duration back from now.
func (q *query) moment(name string, now time.Time) time.Time {
	text := q.one(name)
	if text == "" {
		return time.Time{}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d)
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.fail("%s: want a time such as 2026-01-31T12:00:00Z, or a duration back from now such as 1h.", name)
	}
	return t
}

// matches tells whether an event is wanted, and its user may see it.
func (f ActivityFilter) matches(scope Scope) func(e *audit.Event) bool {
	return func(e *audit.Event) bool {
		if !scope.All && !scope.Namespaces[namespaceOf(e)] {
			return false
		}
		for _, any := range f.any {
			if !slices.ContainsFunc(any, func(f audit.Filter) bool { return f.Match(e) }) {
				return false
			}
		}
		for _, wanted := range f.all {
			if !wanted(e) {
				return false
			}
		}
		return true
	}
}

// namespaceOf is that of the service account that an event is about; "" of one
// that proved none, which is for those who see everything.
func namespaceOf(e *audit.Event) string {
	if e.Subject != nil {
		return e.Subject.Namespace
	}
	for _, a := range []*audit.Association{e.Association, e.Before} {
		if a != nil && a.Namespace != "" {
			return a.Namespace
		}
	}
	return ""
}

// localActivity answers with a page of this replica's own events.
func (c *Console) localActivity(k *call) (any, error) {
	q := queryOf(k.Request)
	filter := q.activities(c.config.Now())
	limit := q.number("limit", 1, 500, 50)
	before, after := q.one("before"), q.one("after")
	if err := q.done(); err != nil {
		return nil, err
	}
	scope, err := k.user.Activity(k.Context())
	if err != nil {
		return nil, err
	}
	return c.localPage(filter, scope, limit, before, after)
}

func (c *Console) localPage(filter ActivityFilter, scope Scope, limit int, before, after string) (LocalActivity, error) {
	out := LocalActivity{Items: []AuditEvent{}, Cursors: []string{}}
	if c.config.Local == nil {
		return out, nil
	}
	page, err := c.config.Local.Events(audit.Query{
		Filter: audit.Filter{Since: filter.From, Until: filter.To}, Also: filter.matches(scope), Limit: limit, Before: before, After: after,
	})
	if err != nil {
		return out, identity.Errorf(identity.InvalidParameter, "The cursor is none of podid's.").Because(err)
	}
	out.Source, out.More, out.Newer = c.config.Local.Name(), page.Older != "", page.Newest
	for i, e := range page.Events {
		shown, err := eventOf(e, out.Source)
		if err != nil {
			return out, err
		}
		out.Items, out.Cursors = append(out.Items, shown), append(out.Cursors, page.Cursors[i])
	}
	return out, nil
}

// eventOf is an audit event as a row shows it.
func eventOf(e *audit.Event, source string) (AuditEvent, error) {
	whole, err := json.Marshal(e)
	if err != nil {
		return AuditEvent{}, err
	}
	out := AuditEvent{
		ID: e.EventID, Time: e.EventTime.UTC(), Name: e.EventName, Door: e.EventSource, Outcome: string(e.Outcome), Cluster: e.ClusterName,
		Caller: cmp.Or(e.CallerUser, e.CallerARN), ErrorCode: e.ErrorCode, ErrorMessage: e.ErrorMessage, Source: source, Event: whole,
	}
	if s := e.Subject; s != nil {
		out.Namespace, out.ServiceAccount, out.Pod, out.Node = s.Namespace, s.ServiceAccount, s.PodName, s.NodeName
	}
	for _, a := range []*audit.Association{e.Association, e.Before} {
		if a != nil {
			out.AssociationID = cmp.Or(out.AssociationID, a.ID)
			out.Namespace, out.ServiceAccount = cmp.Or(out.Namespace, a.Namespace), cmp.Or(out.ServiceAccount, a.ServiceAccount)
		}
	}
	for _, hop := range e.Hops {
		out.Roles = append(out.Roles, hop.RoleARN)
		out.AccessKeyID = cmp.Or(hop.AccessKeyID, out.AccessKeyID)
	}
	if len(out.Roles) == 0 {
		for _, role := range []string{e.RoleARN, roleOf(e.Association), targetOf(e.Association)} {
			if role != "" {
				out.Roles = append(out.Roles, role)
			}
		}
	}
	return out, nil
}

func roleOf(a *audit.Association) string {
	if a == nil {
		return ""
	}
	return a.RoleARN
}

func targetOf(a *audit.Association) string {
	if a == nil {
		return ""
	}
	return a.TargetRoleARN
}

// activity answers with a page of the events of all replicas.
func (c *Console) activity(k *call) (any, error) {
	q := queryOf(k.Request)
	filter := q.activities(c.config.Now())
	limit := q.number("limit", 1, 500, 50)
	before, after := q.cursor("before"), q.cursor("after")
	wait := time.Duration(q.number("wait", 0, 25, 0)) * time.Second
	if before != nil && after != nil {
		q.fail("before and after: one of the two.")
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	scope, err := k.user.Activity(k.Context())
	if err != nil {
		return nil, err
	}
	page, err := c.gathered(k, filter, scope, limit, before, after)
	if err != nil || after == nil || wait == 0 || len(page.Items) > 0 {
		return page, err
	}
	select {
	case c.waiting <- struct{}{}:
		defer func() { <-c.waiting }()
	default: // too many wait already
		return page, nil
	}
	return c.waited(k, wait, func() (ActivityPage, error) { return c.gathered(k, filter, scope, limit, nil, after) })
}

// waited asks until there is something, or the time is up.
func (c *Console) waited(k *call, wait time.Duration, ask func() (ActivityPage, error)) (ActivityPage, error) {
	ctx, cancel := context.WithTimeout(k.Context(), wait)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		last := false
		select {
		case <-ctx.Done():
			last = true
		case <-tick.C:
		}
		page, err := ask()
		if last || err != nil || len(page.Items) > 0 {
			return page, err
		}
	}
}

// cursors are those within each replica, by its name.
type cursors map[string]string

func (c cursors) String() string {
	text, err := json.Marshal(c)
	if err != nil { // strings always encode
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// maxCursor bounds a cursor, in bytes: more replicas than there can be.
const maxCursor = 8 << 10

// cursor reads a cursor; nil, where there is none.
func (q *query) cursor(name string) cursors {
	text := q.one(name)
	if text == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	out := cursors{}
	if err != nil || len(text) > maxCursor || json.Unmarshal(raw, &out) != nil || out == nil {
		q.fail("%s: it is no cursor of this console.", name)
		return nil
	}
	for _, n := range out {
		if _, err := strconv.ParseUint(n, 10, 64); err != nil {
			q.fail("%s: it is no cursor of this console.", name)
			return nil
		}
	}
	return out
}

// gathered is a page of what all replicas have, the newest first. A replica that
// is not in before came to be after that page was made, and its events are on
// pages before it.
func (c *Console) gathered(k *call, filter ActivityFilter, scope Scope, limit int, before, after cursors) (ActivityPage, error) {
	own := ""
	if c.config.Local != nil {
		own = c.config.Local.Name()
	}
	var found []LocalActivity
	if _, goesOn := before[own]; before == nil || goesOn {
		local, err := c.localPage(filter, scope, limit, before[own], after[own])
		if err != nil {
			return ActivityPage{}, err
		}
		found = append(found, local)
	}
	query := maps.Clone(k.URL.Query())
	for _, name := range []string{"before", "after", "wait"} {
		delete(query, name)
	}
	others, partial := ask[LocalActivity](c, k, "/activity", func(peer string) url.Values {
		asked := maps.Clone(query)
		if before != nil {
			if before[peer] == "" {
				return nil
			}
			asked.Set("before", before[peer])
		}
		if after[peer] != "" {
			asked.Set("after", after[peer])
		}
		return asked
	})
	return merged(append(found, others...), limit, before, partial), nil
}

// merged puts the pages of replicas together: always the newest of what is first
// in each, so that what is taken of a page is its beginning.
func merged(pages []LocalActivity, limit int, before cursors, partial []Partial) ActivityPage {
	out := ActivityPage{Items: []AuditEvent{}, Partial: partial}
	newer, older := cursors{}, cursors{}
	maps.Copy(older, before) // also of those that could not be asked
	more := false
	for _, p := range pages {
		newer[p.Source] = p.Newer
		more = more || p.More
		if len(p.Cursors) > 0 {
			older[p.Source] = next(p.Cursors[0]) // unless something of it is taken below
		}
	}
	taken := make([]int, len(pages))
	for len(out.Items) < limit {
		newest := -1
		for i, p := range pages {
			if taken[i] < len(p.Items) && (newest < 0 || p.Items[taken[i]].Time.After(pages[newest].Items[taken[newest]].Time)) {
				newest = i
			}
		}
		if newest < 0 {
			break
		}
		p, n := pages[newest], taken[newest]
		e := p.Items[n]
		e.Source, older[p.Source] = p.Source, p.Cursors[n]
		out.Items = append(out.Items, e)
		taken[newest]++
	}
	for i, p := range pages {
		more = more || taken[i] < len(p.Items)
	}
	out.Newer = newer.String()
	if more {
		out.Older = older.String()
	}
	return out
}

// next is the cursor before which there is the one given.
func next(cursor string) string {
	n, err := strconv.ParseUint(cursor, 10, 64)
	if err != nil {
		return cursor
	}
	return strconv.FormatUint(n+1, 10)
}

// counts answers with how many events there were over time.
func (c *Console) counts(k *call) (any, error) {
	out, err := c.localCounts(k)
	if err != nil {
		return nil, err
	}
	total := out.(LocalCounts).Counts
	query := k.URL.Query()
	query.Set("from", total.From.Format(time.RFC3339Nano))
	query.Set("to", total.To.Format(time.RFC3339Nano))
	others, partial := ask[LocalCounts](c, k, "/counts", func(string) url.Values { return query })
	for _, o := range others {
		for i := range min(len(o.Counts.Buckets), len(total.Buckets)) {
			total.Buckets[i].Granted += o.Counts.Buckets[i].Granted
			total.Buckets[i].Refused += o.Counts.Buckets[i].Refused
		}
		total.Granted += o.Counts.Granted
		total.Refused += o.Counts.Refused
	}
	total.Partial = partial
	return total, nil
}

// localCounts is that of this replica.
func (c *Console) localCounts(k *call) (any, error) {
	q := queryOf(k.Request)
	now := c.config.Now().UTC()
	filter := q.activities(now)
	n := q.number("buckets", 1, maxBuckets, 60)
	if len(q.all("event")) == 0 {
		filter.any = append(filter.any, []audit.Filter{{EventName: audit.AssumeRoleForPodIdentity}})
	}
	if filter.To.IsZero() {
		filter.To = now
	}
	if filter.From.IsZero() {
		filter.From = filter.To.Add(-time.Hour)
	}
	if !filter.From.Before(filter.To) {
		q.fail("from: want a time before to.")
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	scope, err := k.user.Activity(k.Context())
	if err != nil {
		return nil, err
	}
	span := filter.To.Sub(filter.From)
	out := Counts{From: filter.From.UTC(), To: filter.To.UTC(), BucketSeconds: span.Seconds() / float64(n), Buckets: make([]Bucket, n)}
	for i := range out.Buckets {
		out.Buckets[i].Start = filter.From.Add(time.Duration(float64(span) / float64(n) * float64(i))).UTC()
	}
	if c.config.Local == nil {
		return LocalCounts{Counts: out}, nil
	}
	ask := audit.Query{Filter: audit.Filter{Since: filter.From, Until: filter.To}, Also: filter.matches(scope), Limit: audit.MaxPage}
	for {
		page, err := c.config.Local.Events(ask)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			b := &out.Buckets[min(int(float64(e.EventTime.Sub(filter.From))/float64(span)*float64(n)), n-1)]
			switch e.Outcome {
			case audit.Granted:
				b.Granted++
				out.Granted++
			case audit.Refused:
				b.Refused++
				out.Refused++
			}
		}
		if page.Older == "" {
			return LocalCounts{Source: c.config.Local.Name(), Counts: out}, nil
		}
		ask.Before = page.Older
	}
}

// check refuses what no replica says.
func (l LocalActivity) check() error {
	if len(l.Cursors) != len(l.Items) || l.Source == "" {
		return identity.Errorf(identity.Internal, "a page whose cursors are not those of its events")
	}
	return nil
}
