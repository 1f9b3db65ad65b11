package cluster

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Release is one of the versions of Kubernetes that the tests build. Each has a
// module of its own, apart from podid's: test/kubernetes/RELEASE/go.mod.
type Release string

const (
	// Newest is the version that podid's own libraries have. All programs.
	Newest Release = "newest"
	// Older is the oldest version that podid promises to work with. Its API server only.
	Older Release = "older"
)

// recipe changes when the way of building does, so that nothing stale is used.
const recipe = "1"

// Program is one of Kubernetes' own, or etcd.
type Program string

const (
	APIServer         Program = "kube-apiserver"
	ControllerManager Program = "kube-controller-manager"
	Scheduler         Program = "kube-scheduler"
	Kubelet           Program = "kubelet"
	Proxy             Program = "kube-proxy"
	Kubectl           Program = "kubectl"
	Etcd              Program = "etcd"
)

func (p Program) path() string {
	if p == Etcd {
		return "go.etcd.io/etcd/server/v3"
	}
	return "k8s.io/kubernetes/cmd/" + string(p)
}

// Build returns the file of a program. What is not in the user's cache is
// compiled, which takes minutes: progress goes to standard error. Any number of
// processes may ask at once.
func Build(release Release, program Program) (string, error) {
	module, err := module(release)
	if err != nil {
		return "", err
	}
	version, sum, err := describe(module)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "podid", "kubernetes", version+"-"+sum)
	file := filepath.Join(folder, string(program))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(folder, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(file); err == nil {
		return file, nil // another process was quicker
	}
	if err := compile(module, version, program, file); err != nil {
		return "", fmt.Errorf("building %s %s: %w", program, version, err)
	}
	return file, nil
}

// compile takes the source from the module proxy.
func compile(module, version string, program Program, file string) error {
	unfinished := file + ".unfinished"
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w "+stamps(version), "-o", unfinished, program.path())
	build.Dir = module
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	output := &logged{}
	build.Stdout, build.Stderr = output, output
	process, err := spawn(build)
	if err != nil {
		return err
	}
	began := time.Now()
	say := func(what string) {
		fmt.Fprintf(os.Stderr, "test/kubernetes: %s %s: %s\n", program, version, what)
	}
	say("compiling; the first time this takes minutes")
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			say(fmt.Sprintf("still compiling after %v", time.Since(began).Round(time.Second)))
		case <-process.ended:
			if process.err != nil {
				return fmt.Errorf("%w\n%s", process.err, output)
			}
			say(fmt.Sprintf("done in %v", time.Since(began).Round(time.Second)))
			return os.Rename(unfinished, file)
		}
	}
}

// stamps are what makes the programs say their version, as Kubernetes' own
// hack/lib/version.sh does; without them an API server is v0.0.0, and refuses
// the compatibility version it then finds.
func stamps(version string) string {
	parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
	var flags strings.Builder
	for _, p := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, s := range [][2]string{
			{"gitVersion", version}, {"gitMajor", parts[0]}, {"gitMinor", parts[1]}, {"gitTreeState", "clean"},
			{"gitCommit", strings.Repeat("0", 40)}, {"buildDate", "2026-01-01T00:00:00Z"},
		} {
			fmt.Fprintf(&flags, "-X %s.%s=%s ", p, s[0], s[1])
		}
	}
	return flags.String()
}

// module finds the folder of a release's module from the working directory,
// which is in podid's for every test.
func module(release Release) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		folder := filepath.Join(dir, "test", "kubernetes", string(release))
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no test/kubernetes/%s above the working directory", release)
		}
		dir = filepath.Dir(dir)
	}
}

var required = regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes (v\S+)`)

// describe returns the version of Kubernetes, and a sum of all that the result
// of a build depends on.
func describe(module string) (version, sum string, err error) {
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", "", err
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", "", err
	}
	found := required.FindSubmatch(mod)
	if found == nil {
		return "", "", errors.New(module + "/go.mod does not require k8s.io/kubernetes")
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %d %d\n", recipe, runtime.Version(), runtime.GOARCH, len(mod), len(sums))
	h.Write(mod)
	h.Write(sums)
	return string(found[1]), fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}

// lock waits until this process alone holds the file. It is free again when the
// process ends, however it does.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// free says whether nobody holds the file.
func free(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
