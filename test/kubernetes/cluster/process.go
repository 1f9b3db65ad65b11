package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs, and ends with this one at the latest.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // of Wait; read after ended
}

// spawn starts a program that the kernel kills when this process dies. The
// kernel takes the thread that started it for its parent (prctl(2),
// PR_SET_PDEATHSIG), so that thread lives as long as the program.
func spawn(cmd *exec.Cmd) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// run starts a server of the control plane, whose log is kept in a file.
func (c *Cluster) run(name, file string, args ...string) (*process, error) {
	log, err := os.Create(c.path(name + ".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(file, args...)
	cmd.Dir = c.Folder
	// Nothing of the developer's own settings gets in.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Folder}
	cmd.Stdout, cmd.Stderr = log, log
	// An interrupt at the terminal is for the test, which then ends this.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p, err := spawn(cmd)
	if err != nil {
		return nil, err
	}
	c.processes = append(c.processes, p)
	return p, nil
}

// stop ends a process, by force after a while.
func (p *process) stop(patience time.Duration) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}

// tail is the end of a server's log.
func (c *Cluster) tail(name string) string {
	const lines = 25
	text, err := os.ReadFile(c.path(name + ".log"))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return fmt.Sprintf("the end of the log of %s:\n%s", name, strings.Join(all[max(0, len(all)-lines):], "\n"))
}

// logged is output that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}
func (l *logged) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }
