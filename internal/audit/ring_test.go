package audit_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/podid/podid/internal/audit"
)

func ids(events []*audit.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.RequestID)
	}
	return all
}

func query(t *testing.T, r *audit.Ring, q audit.Query) audit.Page {
	t.Helper()
	page, err := r.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestQueryPages(t *testing.T) {
	for _, size := range []int{20, 7} { // all are kept; the latest are
		r := audit.NewRing(size)
		for i := range 10 {
			write(t, r, fmt.Sprint(i))
		}
		first := query(t, r, audit.Query{Limit: 3})
		want(t, ids(first.Events), "9", "8", "7")
		write(t, r, "10") // in between
		second := query(t, r, audit.Query{Limit: 3, Before: first.Older})
		want(t, ids(second.Events), "6", "5", "4")
		newer := query(t, r, audit.Query{After: first.Newest})
		want(t, ids(newer.Events), "10")
		if newer.Older != "" || newer.Newest == first.Newest {
			t.Errorf("cursors %q and %q", newer.Older, newer.Newest)
		}
		if got := query(t, r, audit.Query{After: newer.Newest}); len(got.Events) != 0 || got.Newest != newer.Newest {
			t.Errorf("nothing is new, and got %v", got)
		}
	}
}

func TestQueryEndsAtTheOldest(t *testing.T) {
	r := audit.NewRing(3)
	if page := query(t, r, audit.Query{}); len(page.Events) != 0 || page.Older != "" || page.Newest != "0" {
		t.Errorf("of an empty ring %+v", page)
	}
	write(t, r, "1", "2", "3")
	page := query(t, r, audit.Query{Limit: 3})
	if want(t, ids(page.Events), "3", "2", "1"); page.Older != "" {
		t.Errorf("a page after the last: %q", page.Older)
	}
	page = query(t, r, audit.Query{Limit: 1})
	for range 10 { // the events of the next page are overwritten
		write(t, r, "new")
	}
	if page = query(t, r, audit.Query{Before: page.Older}); len(page.Events) != 0 {
		t.Errorf("got %v", ids(page.Events))
	}
}

func TestQueryFilters(t *testing.T) {
	r := audit.NewRing(10)
	for i := range 6 {
		e := event(fmt.Sprint(i))
		if i%2 == 0 {
			e.Outcome = audit.Refused
		}
		if err := r.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	refused := audit.Filter{Outcome: audit.Refused}
	page := query(t, r, audit.Query{Filter: refused, Limit: 2})
	want(t, ids(page.Events), "4", "2")
	page = query(t, r, audit.Query{Filter: refused, Limit: 2, Before: page.Older})
	if want(t, ids(page.Events), "0"); page.Older != "" {
		t.Errorf("a page after the last: %q", page.Older)
	}
}

func TestQueryKnowsItsCursors(t *testing.T) {
	r := audit.NewRing(1)
	for _, q := range []audit.Query{{Before: "x"}, {After: "-1"}} {
		if _, err := r.Query(q); err == nil {
			t.Errorf("%+v is taken", q)
		}
	}
	write(t, r, "1")
	for _, q := range []audit.Query{{Before: "0"}, {Before: "1"}, {After: "18446744073709551615"}} {
		if page := query(t, r, q); len(page.Events) != 0 {
			t.Errorf("%+v finds %v", q, ids(page.Events))
		}
	}
}

func TestRingKeepsAllOfAnEvent(t *testing.T) {
	r := audit.NewRing(1)
	if err := r.Write(t.Context(), full()); err != nil {
		t.Fatal(err)
	}
	if kept := query(t, r, audit.Query{}).Events[0]; !reflect.DeepEqual(kept, full()) {
		t.Errorf("kept %+v", kept)
	}
}
