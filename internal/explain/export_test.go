package explain

import (
	"context"

	"github.com/podid/podid/internal/policy"
)

// Requests returns what explain would have judged for a question.
func Requests(ctx context.Context, c Config, q Question) ([]policy.Request, error) {
	e, err := New(c)
	if err != nil {
		return nil, err
	}
	w := &walk{config: e.config, question: q, reader: newReader(e.config), report: &Report{}}
	a, _ := w.association(ctx)
	var all []policy.Request
	for _, s := range w.stages(ctx, a) {
		for _, one := range s.asks {
			all = append(all, one.request)
		}
	}
	return all, nil
}
