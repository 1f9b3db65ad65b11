package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is somebody to be measured.
type process struct {
	cmd     *exec.Cmd
	address string
	host    string   // that it wants to be asked as
	log     *os.File // nil: none
}

func build(ctx context.Context, binary string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/podid/podid/cmd/podid-agent")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building podid-agent: %w\n%s", err, out)
	}
	return nil
}

// launch starts a process that ends with bench.
func launch(binary string, args []string) *process {
	p := &process{cmd: exec.Command(binary, args...)}
	p.cmd.Env = []string{"AWS_ACCESS_KEY_ID=AKIANODE", "AWS_SECRET_ACCESS_KEY=example", "AWS_REGION=us-west-2", "PATH=" + os.Getenv("PATH")}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p
}

// start starts an agent, ours or the stock one, which have the same flags.
func (a candidate) start(endpoint string, args ...string) (*process, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	p := launch(a.binary, append([]string{"server", "--cluster-name", "example-cluster", "--endpoint", endpoint, "-b", "127.0.0.1", "-p", ports[0],
		"--probe-port", ports[1], "--metrics-address", "127.0.0.1", "--metrics-port", ports[2]}, args...))
	p.address, p.host = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[0]
	if a.name == "stock" {
		p.host = "169.254.170.23" // wherever it listens
	}
	if p.log, err = os.CreateTemp(a.folder, "log"); err != nil {
		return nil, err
	}
	p.cmd.Stderr, p.cmd.Stdout = p.log, p.log // a file, so that logging costs what it costs them
	return p, p.cmd.Start()
}

// startSelf starts bench itself as one of its servers.
func startSelf(name string, stdin io.Reader, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := launch(self, append([]string{name}, args...))
	p.cmd.Stdin, p.cmd.Stderr = stdin, os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("bench %s: %w", name, err)
	}
	p.address = strings.TrimSpace(address)
	p.host = p.address
	return p, nil
}

// freePorts finds ports that nobody has at the moment.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them are held until the last is known
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// stop ends the process; what it still would do is of no interest.
func (p *process) stop() {
	if p == nil || p.cmd.Process == nil {
		return
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if p.log != nil {
		p.log.Close()
	}
}

// said is the end of its log.
func (p *process) said() string {
	if p.log == nil {
		return ""
	}
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// answers waits until somebody takes connections.
func (p *process) answers() error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			conn.Close()
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not serve: %w\n%s", p.cmd.Path, err, p.said())
		}
	}
}

// resident is the memory that the process has in use, in bytes.
func (p *process) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no memory", p.cmd.Path)
}

// processor is the time that the process has had on processors, to a hundredth
// of a second.
func (p *process) processor() (time.Duration, error) {
	return processorOf(strconv.Itoa(p.cmd.Process.Pid))
}

// ownProcessor is the same for bench itself.
func ownProcessor() (time.Duration, error) { return processorOf("self") }

func processorOf(pid string) (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest) // the first is field 3 of proc_pid_stat(5)
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
