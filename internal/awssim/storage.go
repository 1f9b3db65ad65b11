package awssim

// Change is one entity put or, where Value is nil, deleted.
type Change struct {
	Kind, Key string
	Value     []byte // JSON
}

// Storage keeps the state of the small AWS.
type Storage interface {
	// Load calls each for everything that is stored.
	Load(each func(kind, key string, value []byte) error) error
	// Commit stores all changes or none, and returns when they are safe.
	Commit(batch []Change) error
}

// noStorage is for a small AWS that lives in memory alone.
type noStorage struct{}

func (noStorage) Load(func(kind, key string, value []byte) error) error { return nil }
func (noStorage) Commit([]Change) error                                 { return nil }
