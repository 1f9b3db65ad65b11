package audit

import "context"

// Origin is where a request came from, for the events of what is decided about
// it further in.
type Origin struct {
	EventSource     string // the door
	RequestID       string
	SourceIPAddress string
}

type originKey struct{}

// WithOrigin returns a context that carries where a request came from. Each door
// calls it once, before it asks what decides.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf returns what WithOrigin has put into ctx; zero without it.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}
