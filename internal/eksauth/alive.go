package eksauth

import (
	"net/http"
	"sync"
	"time"
)

// AliveHeader is sent by agents that want to hear, again and again, that a
// server works on their request. A connection does not tell when the machine at
// its other end is gone.
const AliveHeader = "X-Podid-Alive"

// aliveEvery is how often they hear it.
const aliveEvery = 200 * time.Millisecond

// sayAlive sends 102 Processing (RFC 2518 section 10.1), at once and then every so
// often, until rest is called; w is not to be used before that.
func sayAlive(w http.ResponseWriter, r *http.Request) (rest func()) {
	if r.Header.Get(AliveHeader) == "" {
		return func() {}
	}
	w.WriteHeader(http.StatusProcessing)
	end := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		tick := time.NewTicker(aliveEvery)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				w.WriteHeader(http.StatusProcessing)
			}
		}
	})
	return sync.OnceFunc(func() { close(end); working.Wait() })
}
