package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/metrics"
)

// doors are the listeners.
type doors struct{ api, webhook, probe, metrics, console net.Listener } // console: nil, if it is not served

func openDoors(c Config) (d *doors, err error) {
	d = &doors{}
	for _, l := range []struct {
		listener *net.Listener
		what, at string
	}{
		{&d.api, "the APIs", c.APIAddress}, {&d.webhook, "the webhooks", c.WebhookAddress},
		{&d.probe, "the probes", c.ProbeAddress}, {&d.metrics, "the metrics", c.MetricsAddress}, {&d.console, "the console", c.Console.Address},
	} {
		if l.at == "" { // the others have defaults
			continue
		}
		if *l.listener, err = net.Listen("tcp", l.at); err != nil {
			d.close()
			return nil, fmt.Errorf("listening for %s: %w", l.what, err)
		}
	}
	return d, nil
}

// close closes what is open; what a server closed already does not matter.
func (d *doors) close() {
	for _, l := range []net.Listener{d.api, d.webhook, d.probe, d.metrics, d.console} {
		if l != nil {
			l.Close()
		}
	}
}

// maxConnections bounds those of each door. Agents keep up to 160 each when
// they are busy, and one stream.
const maxConnections = 20_000

// serve starts a server for each door in group.
func (s *server) serve(ctx context.Context, group *errgroup.Group, d *doors) error {
	secured := &tls.Config{GetCertificate: s.certificate.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	apis := secured.Clone()
	apis.ClientAuth = tls.RequestClientCert // replicas show theirs
	var failures []error
	type door struct {
		listener net.Listener
		tls      *tls.Config
		handler  http.Handler
	}
	all := []door{
		{d.api, apis, s.apis}, {d.webhook, secured, s.webhooks}, {d.probe, nil, s.health.probes()}, {d.metrics, nil, s.scraped()},
	}
	if d.console != nil {
		all = append(all, door{d.console, secured, s.door(metrics.Console, s.consoleDoor())})
	}
	for _, door := range all {
		server, err := httpd.New(httpd.Config{Handler: door.handler, TLS: door.tls, MaxConnections: maxConnections, Logger: s.config.Logger})
		if err != nil {
			failures = append(failures, err)
			continue
		}
		group.Go(func() error { return server.Run(ctx, door.listener) })
	}
	return errors.Join(failures...)
}
