// Package server tries podid's server as a process against a real API server,
// with the rights that its manifests give it, and the small AWS.
package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/awssim"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

const (
	clusterName   = "example-cluster"
	region        = "us-west-2"
	ownAccount    = "111122223333"
	targetAccount = "444455556666"
	roleARN       = "arn:aws:iam::" + ownAccount + ":role/pod-identity"
	targetARN     = "arn:aws:iam::" + targetAccount + ":role/target"
	serviceKey    = "AKIASERVICEPODIDENTI"
	secretKey     = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

const (
	serviceTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
	mayAssume    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Resource":"` + targetARN + `"}]}`
	targetTrust  = `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"` + roleARN + `"},"Action":"sts:AssumeRole","Condition":{"StringLike":{"sts:ExternalId":"` + region + `/` + ownAccount + `/` + clusterName + `/shop/*"}}},
		{"Effect":"Allow","Principal":{"AWS":"` + roleARN + `"},"Action":"sts:TagSession"}]}`
	mayRead = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::data/*"}]}`
	mayLook = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"iam:GetRole","Resource":"arn:aws:iam::${aws:SourceAccount}:role/*"}]}`
)

// world is a cluster with podid's manifests, and an AWS.
type world struct {
	*cluster.Cluster
	t        *testing.T
	podid    string // the command
	aws      string // URL of the small AWS
	objects  client.Client
	replicas []*replica
	hooks    *service // what the API server finds the webhooks at
}

// start starts a world with so many replicas of the server.
func start(t *testing.T, replicas int, flags ...string) *world {
	t.Helper()
	return startWith(t, raced, replicas, flags...)
}

func startWith(t *testing.T, build func() (string, error), replicas int, flags ...string) *world {
	t.Helper()
	w := newWorld(t, build, "../../../deploy/podid.yaml")
	for range replicas {
		w.replica(flags...)
	}
	return w
}

// newWorld is a world without a server, with the manifests of files.
func newWorld(t *testing.T, build func() (string, error), files ...string) *world {
	t.Helper()
	podid, err := build()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Cluster: cluster.Start(t, cluster.Options{}), t: t, podid: podid, aws: smallAWS(t)}
	w.hooks = newService(t)
	w.Apply(t, manifests(t, w.hooks.url(), files...))
	if w.objects, err = client.New(w.Config, client.Options{Scheme: scheme(t)}); err != nil {
		t.Fatal(err)
	}
	w.Namespace(t, "shop")
	w.ServiceAccount(t, "shop", "app")
	for _, node := range []string{"node-1", "node-2"} {
		w.Node(t, node)
		w.Cluster.Pod(t, agentNamespace, "agent-of-"+node, "podid-agent", node)
	}
	return w
}

// raced and plain are the command with the race detector and without, each built
// once for all tests.
var (
	raced = sync.OnceValues(func() (string, error) { return build("podid-race", "-race") })
	plain = sync.OnceValues(func() (string, error) { return build("podid") })
)

func build(name string, flags ...string) (string, error) {
	file := filepath.Join(folder, name)
	out, err := exec.Command("go", slices.Concat([]string{"build", "-o", file}, flags, []string{"github.com/podid/podid/cmd/podid"})...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building podid: %w\n%s", err, out)
	}
	return file, nil
}

// folder is that of the commands; TestMain takes it away.
var folder string

func TestMain(m *testing.M) {
	if endpoint := os.Getenv(asProgram); endpoint != "" {
		os.Exit(whoAmI(endpoint))
	}
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "podid-server"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		return m.Run()
	}())
}

func smallAWS(t *testing.T) string {
	t.Helper()
	sim, err := awssim.New(awssim.Config{
		Region: region,
		World: awssim.World{Accounts: []awssim.Account{
			{ID: ownAccount, Users: readers(ownAccount), Roles: []awssim.Role{{Name: "pod-identity", TrustPolicy: serviceTrust, InlinePolicies: map[string]string{"assume": mayAssume}}}},
			{ID: targetAccount, Users: readers(targetAccount), Roles: []awssim.Role{
				{Name: "target", TrustPolicy: targetTrust, InlinePolicies: map[string]string{"read": mayRead}},
				{Name: "closed", TrustPolicy: serviceTrust},
			}, Buckets: []awssim.Bucket{{Name: "data", Objects: map[string]string{"hello.txt": "hello from the other account"}}}},
		}},
		ServiceKeys: []awssim.ServiceKey{{AccessKeyID: serviceKey, Secret: secretKey, Service: identity.ServicePrincipal, Policy: mayLook}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return server.URL
}

// readers are the users of an account: one, who may see its roles.
func readers(account string) []awssim.User {
	return []awssim.User{{
		Name: "reader", ManagedPolicies: []string{"arn:aws:iam::aws:policy/IAMReadOnlyAccess"},
		AccessKeys: []awssim.AccessKey{{ID: readerKey(account), Secret: secretKey}},
	}}
}

// replica is one process of the server.
type replica struct {
	t        *testing.T
	command  *exec.Cmd
	apis     string // addresses
	webhooks string
	metrics  string
	console  string // "": it has none
	ended    chan struct{}

	mu    sync.Mutex
	audit []audit.Event
	log   strings.Builder
}

// replica starts one more, and waits until it is ready.
func (w *world) replica(flags ...string) *replica {
	w.t.Helper()
	args := append([]string{
		"server", "--cluster-name", clusterName, "--region", region, "--account-id", ownAccount, "--kubeconfig", w.ownKubeconfig(),
		"--sts-endpoint", w.aws, "--first-hop", "service", "--tls-name", "127.0.0.1", "--drain-delay", "500ms",
		"--listen", "127.0.0.1:0", "--webhook-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--probe-listen", "127.0.0.1:0",
	}, flags...)
	r := &replica{t: w.t, command: exec.Command(w.podid, args...), ended: make(chan struct{})}
	r.command.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+serviceKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_EC2_METADATA_DISABLED=true")
	r.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := r.command.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	stderr, err := r.command.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := r.command.Start(); err != nil {
		w.t.Fatal(err)
	}
	ready := make(chan struct{})
	var read sync.WaitGroup
	read.Go(func() { r.readAudit(stdout) })
	read.Go(func() { r.readLog(stderr, ready) })
	go func() { read.Wait(); _ = r.command.Wait(); close(r.ended) }()
	w.t.Cleanup(func() {
		r.kill()
		if w.t.Failed() {
			w.t.Logf("replica %s:\n%s", r.apis, r.text())
		}
	})
	select {
	case <-ready:
	case <-r.ended:
		w.t.Fatalf("the server ended: %s", r.text())
	case <-time.After(time.Minute):
		w.t.Fatalf("the server is not ready: %s", r.text())
	}
	w.replicas = append(w.replicas, r)
	w.hooks.add(r.webhooks)
	return r
}

func (r *replica) readAudit(from io.Reader) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e audit.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			r.t.Errorf("stdout has what is no audit event: %s", lines.Text())
			continue
		}
		r.mu.Lock()
		r.audit = append(r.audit, e)
		r.mu.Unlock()
	}
}

func (r *replica) readLog(from io.Reader, ready chan struct{}) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.mu.Lock()
		r.log.WriteString(lines.Text() + "\n")
		r.mu.Unlock()
		var line struct{ Msg, APIs, Webhooks, Metrics, Console string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
			r.apis, r.webhooks, r.metrics, r.console = line.APIs, line.Webhooks, line.Metrics, line.Console
			close(ready)
		}
	}
}

func (r *replica) text() string { r.mu.Lock(); defer r.mu.Unlock(); return r.log.String() }

func (r *replica) events() []audit.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]audit.Event(nil), r.audit...)
}

// stop ends a replica as the kubelet does.
func (r *replica) stop() {
	_ = r.command.Process.Signal(syscall.SIGTERM) // it may have ended
	<-r.ended
	if code := r.command.ProcessState.ExitCode(); code != 0 {
		r.t.Errorf("exit status %d after SIGTERM:\n%s", code, r.text())
	}
}

// kill ends it as a power cut does.
func (r *replica) kill() {
	_ = r.command.Process.Kill() // it may have ended
	<-r.ended
}

// ownKubeconfig is the server's: with the token of its service account, and so
// with the rights of its manifests alone.
func (w *world) ownKubeconfig() string { return w.kubeconfigOf(ownNamespace, "podid") }

// kubeconfigOf is that of a service account, with a token of its own.
func (w *world) kubeconfigOf(namespace, serviceAccount string) string {
	w.t.Helper()
	config := rest.AnonymousClientConfig(w.Config)
	file := filepath.Join(w.t.TempDir(), "kubeconfig")
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	kubeconfig.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: w.Token(w.t, namespace, serviceAccount, "")}
	kubeconfig.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	kubeconfig.CurrentContext = "x"
	if err := clientcmd.WriteToFile(*kubeconfig, file); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// agent is the client of a node's agent, which knows the replicas given.
func (w *world) agent(node string, replicas ...*replica) *eksauth.Client {
	w.t.Helper()
	return w.client(w.agentToken(node), replicas...)
}

func (w *world) agentToken(node string) string {
	w.t.Helper()
	return w.Token(w.t, agentNamespace, "podid-agent", "agent-of-"+node, "podid.dev")
}

// impostor is a client with the token of a pod that is no agent's.
func (w *world) impostor(serviceAccount, pod string) *eksauth.Client {
	w.t.Helper()
	return w.client(w.Token(w.t, "shop", serviceAccount, pod, "podid.dev"), w.replicas...)
}

func (w *world) client(own string, replicas ...*replica) *eksauth.Client {
	w.t.Helper()
	var urls []string
	for _, r := range replicas {
		urls = append(urls, "https://"+r.apis)
	}
	return w.at(own, urls...)
}

// at is a client with a token of its own, of replicas at these URLs.
func (w *world) at(own string, urls ...string) *eksauth.Client {
	w.t.Helper()
	token := identity.Secret(own)
	c := eksauth.ClientConfig{
		Cluster: clusterName, CAFile: w.authority(), Token: func() (identity.Secret, error) { return token, nil }, Endpoint: urls[0], Replicas: urls[1:],
	}
	made, err := eksauth.NewClient(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// authority is a file with what the server publishes for agents.
func (w *world) authority() string {
	w.t.Helper()
	found := &corev1.ConfigMap{}
	if err := w.objects.Get(w.t.Context(), client.ObjectKey{Namespace: agentNamespace, Name: "podid-ca"}, found); err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte(found.Data["ca.crt"]), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// associate makes an association as the cluster's administrator.
func (w *world) associate(serviceAccount string, change ...func(*v1alpha1.PodIdentityAssociation)) *v1alpha1.PodIdentityAssociation {
	w.t.Helper()
	a := &v1alpha1.PodIdentityAssociation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: serviceAccount},
		Spec:       v1alpha1.PodIdentityAssociationSpec{RoleARN: roleARN, TargetRoleARN: targetARN},
	}
	for _, f := range change {
		f(a)
	}
	if err := w.objects.Create(w.t.Context(), a); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// podToken makes a pod on a node, and returns the token that the kubelet would get for it.
func (w *world) podToken(name, node string) identity.Secret {
	w.t.Helper()
	w.Cluster.Pod(w.t, "shop", name, "app", node)
	return identity.Secret(w.Token(w.t, "shop", "app", name, identity.Audience))
}

// delete deletes a pod, and returns when it is gone.
func (w *world) delete(pod string) {
	w.t.Helper()
	now := int64(0)
	if err := w.Client(w.t).CoreV1().Pods("shop").Delete(w.t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		w.t.Fatal(err)
	}
}

// service stands in for kube-proxy: it passes connections on to the replicas in turn.
type service struct {
	listener net.Listener
	mu       sync.Mutex
	to       []string
	next     int
}

func newService(t *testing.T) *service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &service{listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.pass(c)
		}
	}()
	return s
}

func (s *service) url() string { return "https://" + s.listener.Addr().String() }

func (s *service) add(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(s.to, address)
}

func (s *service) replace(before, now string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to[slices.Index(s.to, before)] = now
}

func (s *service) pass(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	to := append([]string(nil), s.to...)
	first := s.next
	s.next++
	s.mu.Unlock()
	for i := range to {
		d, err := net.Dial("tcp", to[(first+i)%len(to)])
		if err != nil {
			continue // an endpoint that is gone
		}
		defer d.Close()
		done := make(chan struct{}, 2)
		copyTo := func(a, b net.Conn) { _, _ = io.Copy(a, b); done <- struct{}{} } // either side may hang up
		go copyTo(c, d)
		go copyTo(d, c)
		<-done
		return
	}
}

// eventually waits for what is to become so within half a minute.
func eventually(t *testing.T, what string, so func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := so()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

var errNotYet = fmt.Errorf("not yet")
