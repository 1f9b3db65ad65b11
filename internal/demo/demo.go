// Package demo tells podid's story once, and checks every step of it.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/devenv"
)

// Config says how the story is told.
type Config struct {
	// Progress is called as each step ends. Nil: nobody listens.
	Progress func(Step)
	// Pod is the command that runs inside the pod, followed by what it is to do.
	Pod []string
}

// Step is one step of the story.
type Step struct {
	Title   string   `json:"title"`
	Command string   `json:"command,omitempty"` // what a person would type
	Detail  []string `json:"detail,omitempty"`
	Want    string   `json:"want,omitempty"`
	Got     string   `json:"got,omitempty"`
	OK      bool     `json:"ok"`
	Millis  int64    `json:"milliseconds"`
	Part    string   `json:"part"`
}

// Report is the whole story.
type Report struct {
	OK    bool   `json:"ok"`
	Steps []Step `json:"steps"`
}

// errTold ends the run of development mode when the story has been told.
var errTold = errors.New("the story has been told")

// Run starts development mode on free ports, tells the story and stops it.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Progress == nil {
		c.Progress = func(Step) {}
	}
	world, err := devenv.DefaultWorld()
	if err != nil {
		return nil, err
	}
	world.Associations = nil // making it is part of the story
	report := &Report{OK: true}
	group, ctx := errgroup.WithContext(ctx)
	ready := make(chan *devenv.Info, 1)
	group.Go(func() error {
		return devenv.Run(ctx, devenv.Config{World: world, Ready: func(i *devenv.Info) error { ready <- i; return nil }})
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case info := <-ready:
			s := &story{config: c, info: info, report: report}
			if err := s.tell(ctx); err != nil {
				return err
			}
			return errTold
		}
	})
	if err := group.Wait(); !errors.Is(err, errTold) {
		return nil, err
	}
	return report, nil
}

// story is the story while it is told.
type story struct {
	config Config
	info   *devenv.Info
	report *Report
	part   string
}

// step runs one step. do fills in what happened; its error is what was got.
func (s *story) step(title, want string, do func(*Step) (got string, err error)) {
	began := time.Now()
	step := Step{Title: title, Want: want, Part: s.part}
	got, err := do(&step)
	if err != nil {
		got = errorText(err)
	}
	step.Got, step.OK, step.Millis = got, got == want, time.Since(began).Milliseconds()
	s.report.OK = s.report.OK && step.OK
	s.report.Steps = append(s.report.Steps, step)
	s.config.Progress(step)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func compactJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
