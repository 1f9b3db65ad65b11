package explain

import (
	"context"

	"github.com/podid/podid/internal/identity"
)

func (w *walk) mend(ctx context.Context, a identity.Association, stages []*stage) {}
func (w *walk) warn(ctx context.Context, a identity.Association, stages []*stage) {}
func (w *walk) tryLive(ctx context.Context) *Live                                 { return nil }
