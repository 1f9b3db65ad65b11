package demo

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// TestMain is also the program inside the pod.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "pod" {
		if err := Pod(context.Background(), os.Stdout, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestStory(t *testing.T) {
	told := 0
	report, err := Run(t.Context(), Config{Pod: []string{os.Args[0], "pod"}, Progress: func(Step) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK || told != len(report.Steps) || told < 12 {
		t.Errorf("ok %v, %d steps told of %d", report.OK, told, len(report.Steps))
	}
	for _, s := range report.Steps {
		if !s.OK {
			t.Errorf("%s: got %q, want %q", s.Title, s.Got, s.Want)
		}
	}
}

// TestStoryNoticesDifferences runs a pod whose program does nothing.
func TestStoryNoticesDifferences(t *testing.T) {
	report, err := Run(t.Context(), Config{Pod: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	if report.OK {
		t.Error("all is well, with a pod that says nothing")
	}
}
