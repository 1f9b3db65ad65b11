package agent

import (
	"net"
	"net/http"
)

// HandlerForTest is the handler without its server, at 169.254.170.23.
func HandlerForTest(u Upstream) (http.Handler, error) {
	a, err := New(Config{Upstream: u, Listeners: []net.Listener{at23{}}})
	if err != nil {
		return nil, err
	}
	return a.handler(), nil
}

type at23 struct{ net.Listener }

func (at23) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(169, 254, 170, 23), Port: 80} }
