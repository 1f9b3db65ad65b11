//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// writeProcess writes what Prometheus' own clients tell of every process, as
// far as somebody would be woken for it.
func writeProcess(w io.Writer) {
	gauge := func(name, help string, value int) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", name, help, name, name, value)
	}
	gauge("go_goroutines", "Goroutines.", runtime.NumGoroutine())
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		gauge("process_open_fds", "Open file descriptors.", len(open))
	}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(statm)); len(fields) > 1 { // size resident shared ... in pages
			if pages, err := strconv.Atoi(fields[1]); err == nil {
				gauge("process_resident_memory_bytes", "Resident memory.", pages*os.Getpagesize())
			}
		}
	}
	fmt.Fprintf(w, "# HELP podid_agent_build_info 1; the labels say what runs.\n# TYPE podid_agent_build_info gauge\npodid_agent_build_info{version=%q,goversion=%q} 1\n", versionOrModule(), runtime.Version())
}
