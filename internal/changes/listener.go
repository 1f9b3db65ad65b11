package changes

import (
	"context"
	"errors"

	"github.com/podid/podid/internal/identity"
)

var (
	// ErrBehind ends a listener that did not keep up.
	ErrBehind = errors.New("the listener did not keep up with the changes")
	// ErrClosed ends all listeners with the Feed.
	ErrClosed = errors.New("the server is going away")
)

// Listener hears every change from when it was made on. Close it.
type Listener struct {
	feed *Feed
	wake chan struct{} // holds one when there is something to see

	// Guarded by the feed's lock.
	waiting []Change
	ended   error
}

// Listen begins to hear. Its error is an *identity.Error.
func (f *Feed) Listen() (*Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, identity.Errorf(identity.Unavailable, "The server is going away.").Because(ErrClosed)
	case len(f.listeners) >= f.config.MaxListeners:
		return nil, identity.Errorf(identity.Unavailable, "Too many agents listen to this replica.")
	}
	l := &Listener{feed: f, wake: make(chan struct{}, 1)}
	f.listeners[l] = struct{}{}
	return l, nil
}

// Next returns the changes since the last call, in order, and waits for the
// first of them. It ends with ctx's error, ErrBehind or ErrClosed.
func (l *Listener) Next(ctx context.Context) ([]Change, error) {
	for {
		l.feed.mu.Lock()
		got, ended := l.waiting, l.ended
		l.waiting = nil
		l.feed.mu.Unlock()
		switch {
		case ended != nil:
			return nil, ended
		case len(got) > 0:
			return got, nil
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close ends the listening.
func (l *Listener) Close() {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	l.feed.endLocked(l, ErrClosed)
}

func (f *Feed) endLocked(l *Listener, why error) {
	if l.ended != nil {
		return
	}
	delete(f.listeners, l)
	l.ended, l.waiting = why, nil
	l.wakeLocked()
}

func (l *Listener) wakeLocked() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
