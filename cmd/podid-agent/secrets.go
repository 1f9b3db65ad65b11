//go:build linux

package main

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

// keepSecrets has the kernel keep the process's memory out of core dumps, of
// other processes' reach, and of swap. What it may not do is logged and lived
// with: the rest of the node guards the process too.
func keepSecrets(logger *slog.Logger) {
	// Without it a core_pattern that is a pipe would get a dump whatever the
	// limit, and processes of the same user could read the memory (core(5), prctl(2)).
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		logger.Warn("memory can be dumped", "error", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		logger.Warn("memory can be dumped", "error", err)
	}
	// Under a limit the lock would hold at first, and later growth of the heap
	// would end the process (mlockall(2)).
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur != unix.RLIM_INFINITY && !mayLock() {
		logger.Debug("memory may be swapped: locking it needs CAP_IPC_LOCK, or no limit on locked memory")
		return
	}
	// ONFAULT: what the Go runtime only reserves stays unused.
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		logger.Debug("memory may be swapped", "error", err)
	}
}

// mayLock tells whether the process has CAP_IPC_LOCK.
func mayLock() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0
}
