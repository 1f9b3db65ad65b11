package explain

import (
	"github.com/podid/podid/internal/identity"
)

func (w *walk) warn(a identity.Association, stages []*stage) {}
