package agent

import (
	"container/list"
	"iter"
)

// lru is a map of bounded size; what was used longest ago makes room. It does
// not lock.
type lru[V any] struct {
	max     int
	left    func(V) // told of what is no longer in it; may be nil
	entries map[tokenHash]*list.Element
	order   *list.List // of lruEntry[V], last used first
}

type lruEntry[V any] struct {
	key   tokenHash
	value V
}

func newLRU[V any](max int, left func(V)) *lru[V] {
	return &lru[V]{max: max, left: left, entries: make(map[tokenHash]*list.Element), order: list.New()}
}

func (l *lru[V]) get(key tokenHash) (value V, ok bool) {
	e, ok := l.entries[key]
	if !ok {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruEntry[V]).value, true
}

func (l *lru[V]) put(key tokenHash, value V) {
	l.remove(key)
	l.entries[key] = l.order.PushFront(&lruEntry[V]{key, value})
	if len(l.entries) > l.max {
		l.remove(l.order.Back().Value.(*lruEntry[V]).key)
	}
}

func (l *lru[V]) remove(key tokenHash) {
	e, ok := l.entries[key]
	if !ok {
		return
	}
	l.order.Remove(e)
	delete(l.entries, key)
	if l.left != nil {
		l.left(e.Value.(*lruEntry[V]).value)
	}
}

// all yields every entry. Entries may be removed and added meanwhile; those
// added may be left out.
func (l *lru[V]) all() iter.Seq2[tokenHash, V] {
	return func(yield func(tokenHash, V) bool) {
		for key, e := range l.entries {
			if !yield(key, e.Value.(*lruEntry[V]).value) {
				return
			}
		}
	}
}
