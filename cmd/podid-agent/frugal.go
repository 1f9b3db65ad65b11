//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Every node pays for this process's memory, and most of the time its pods ask
// for nothing. So the heap may grow to three times what is in use while they
// do, which saves half the collector's work at Go's own setting of two, and
// what was not in use lately goes back to the node.
const (
	growth        = 200 // as GOGC
	giveBackEvery = 10 * time.Second
	worthwhile    = 1 << 20 // bytes; less is not given back
)

// giveBack does so until ctx ends.
func giveBack(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
	debug.FreeOSMemory() // what starting took
	ticker := time.NewTicker(giveBackEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if idleMemory() > worthwhile {
				debug.FreeOSMemory()
			}
		}
	}
}

// idleMemory is what the heap holds beyond what was in use at the last collection.
func idleMemory() int64 {
	all := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(all)
	for _, s := range all {
		if s.Value.Kind() != metrics.KindUint64 {
			return 0 // a Go that has it no more
		}
	}
	return int64(all[0].Value.Uint64()) + int64(all[1].Value.Uint64()) - int64(all[2].Value.Uint64())
}

// releaseCode unmaps the pages of the program's own file, most of which starting
// alone needed. The rest comes back from the page cache as it is used. It holds
// no secrets, so it need not be locked either.
func releaseCode(logger *slog.Logger) {
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		logger.Debug("code stays mapped", "error", err)
		return
	}
	defer maps.Close()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		logger.Debug("code stays mapped", "error", err)
		return
	}
	var from, to uintptr // zero: not a mapping of the file that nobody may write
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text()
		if path, ok := strings.CutSuffix(line, own); ok && path != "" {
			var start, end uintptr
			var rights string
			from, to = 0, 0
			if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &rights); err == nil && !strings.Contains(rights, "w") {
				from, to = start, end
			}
		}
		// Pages that were changed, as by relocation, are in no file.
		if value, ok := strings.CutPrefix(line, "Private_Dirty:"); ok && from != 0 && strings.TrimSpace(value) == "0 kB" {
			unix.Syscall(unix.SYS_MUNLOCK, from, to-from, 0)
			unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
		if strings.HasPrefix(line, "VmFlags:") {
			from, to = 0, 0
		}
	}
}
