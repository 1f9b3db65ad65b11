package admission

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/identity"
)

// TestReadsBeginAfterTheQuestion: an association made while a read is under way
// is found by whoever asks after it was made, and yet a crowd costs two reads.
func TestReadsBeginAfterTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made, looked atomic.Int32
		r := newReads(time.Second, func(context.Context, string, string) (identity.Association, error) {
			looked.Add(1)
			saw := made.Load() // at the begin: the answer then takes its time
			time.Sleep(100 * time.Millisecond)
			if saw == 0 {
				return identity.Association{}, identity.Errorf(identity.NotFound, "none")
			}
			return identity.Association{ID: "a"}, nil
		}, newMetrics().reads)
		early := make(chan error, 1)
		go func() { _, err := r.find(t.Context(), account{"ns", "app"}); early <- err }()
		synctest.Wait()
		made.Store(1)
		const crowd = 50
		late := make(chan error, crowd)
		for range crowd {
			go func() { _, err := r.find(t.Context(), account{"ns", "app"}); late <- err }()
		}
		if err := <-early; identity.KindOf(err) != identity.NotFound {
			t.Errorf("who asked before: %v", err)
		}
		for range crowd {
			if err := <-late; err != nil {
				t.Fatalf("who asked after: %v", err)
			}
		}
		if n := looked.Load(); n != 2 {
			t.Errorf("%d reads, want 2", n)
		}
		synctest.Wait()
		if len(r.underWay) != 0 {
			t.Errorf("%d reads are remembered", len(r.underWay))
		}
	})
}

func TestReadsOfAnotherAccountDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReads(time.Second, func(ctx context.Context, _, name string) (identity.Association, error) {
			if name == "stuck" {
				<-ctx.Done()
				return identity.Association{}, identity.Errorf(identity.Unavailable, "stuck").Because(ctx.Err())
			}
			return identity.Association{ID: "a"}, nil
		}, newMetrics().reads)
		began := time.Now()
		stuck := make(chan error, 1)
		go func() { _, err := r.find(t.Context(), account{"ns", "stuck"}); stuck <- err }()
		synctest.Wait()
		if _, err := r.find(t.Context(), account{"ns", "app"}); err != nil || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := <-stuck; identity.KindOf(err) != identity.Unavailable || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestWhoLeavesFailsNobody: the API server hanging up on one pod does not end
// the read that another pod waits for.
func TestWhoLeavesFailsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReads(time.Second, func(ctx context.Context, _, _ string) (identity.Association, error) {
			select {
			case <-ctx.Done():
				return identity.Association{}, ctx.Err()
			case <-time.After(100 * time.Millisecond):
				return identity.Association{ID: "a"}, nil
			}
		}, newMetrics().reads)
		impatient, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := r.find(t.Context(), account{"ns", "app"}); left <- err }()
		synctest.Wait()
		gone := make(chan error, 1)
		go func() { _, err := r.find(impatient, account{"ns", "app"}); gone <- err }()
		stays := make(chan error, 1)
		go func() { _, err := r.find(t.Context(), account{"ns", "app"}); stays <- err }()
		synctest.Wait()
		leave()
		if err := <-gone; identity.KindOf(err) != identity.Unavailable {
			t.Errorf("who left: %v", err)
		}
		if err := <-left; err != nil {
			t.Errorf("the first: %v", err)
		}
		if err := <-stays; err != nil {
			t.Errorf("who stayed: %v", err)
		}
	})
}
