//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/podid/podid/internal/agent/link"
)

// makeLink is the init step of a pod whose server may not change the network.
func makeLink(_ context.Context, args []string, stderr io.Writer) error {
	keeper, err := keeperFor("init", args, stderr)
	if err != nil {
		return err
	}
	return keeper.Ensure()
}

// keepLink goes beside such a server, and repairs what init made.
func keepLink(ctx context.Context, args []string, stderr io.Writer) error {
	keeper, err := keeperFor("link", args, stderr)
	if err != nil {
		return err
	}
	if err := keeper.Ensure(); err != nil {
		return err
	}
	return errors.Join(keeper.Run(ctx), keeper.Remove())
}

func keeperFor(command string, args []string, stderr io.Writer) (*link.Keeper, error) {
	var o linkOptions
	flags := newFlags(command)
	o.declare(flags)
	if err := parse(flags, args, stderr); err != nil {
		return nil, err
	}
	return link.New(link.Config{Addresses: o.addresses(), Logger: newLogger(stderr, o.verbosity)})
}

func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
