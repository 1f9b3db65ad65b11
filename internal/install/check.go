package install

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Status is what became of a check.
type Status string

const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, but not as well as it could
	Failed  Status = "failed"  // podid would not work, or does not
	Unknown Status = "unknown" // it could not be found out
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Found is what was found.
	Found string `json:"found"`
	// Do is what to do about it. "" where nothing is.
	Do string `json:"do,omitempty"`
}

// Report is all that was looked at.
type Report struct {
	APIServer string  `json:"apiServer"`
	Checks    []Check `json:"checks"`
}

// Failed tells whether podid would not work, or does not.
func (r *Report) Failed() bool {
	for _, c := range r.Checks {
		if c.Status == Failed {
			return true
		}
	}
	return false
}

// CheckConfig says what to look at. API is required.
type CheckConfig struct {
	// API is the cluster's API server, asked as whoever wants to install.
	API *rest.Config
	// AWS is whose access to AWS is looked at. Nil: nobody's.
	AWS *aws.Config
	// AccountID is the account of the cluster. "": any.
	AccountID string
	// Now is the clock of this machine. Nil: time.Now.
	Now func() time.Time
}

// checker looks at one cluster.
type checker struct {
	config CheckConfig
	http   *http.Client
	client kubernetes.Interface
	any    client.Client
	report *Report
}

// checkTimeout bounds each check.
const checkTimeout = 15 * time.Second

// Run looks at everything, whatever the outcome of what came before. It changes
// nothing: what it tries, it tries as a dry run. Its error says that it could
// not even begin.
func Run(ctx context.Context, c CheckConfig) (*Report, error) {
	if c.API == nil {
		return nil, errors.New("install: no API server to ask")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &checker{config: c, report: &Report{APIServer: c.API.Host}}
	var err error
	if k.http, err = rest.HTTPClientFor(c.API); err != nil {
		return nil, err
	}
	if k.client, err = kubernetes.NewForConfig(c.API); err != nil {
		return nil, err
	}
	if !k.reachable(ctx) {
		return k.report, nil
	}
	if k.any, err = client.New(c.API, client.Options{}); err != nil {
		return nil, err
	}
	for _, check := range []func(context.Context){
		k.issuer, k.tokens, k.rights, k.namespaces, k.crd, k.server, k.agents, k.webhooks, k.clocks, k.aws,
	} {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		check(ctx)
		cancel()
	}
	return k.report, nil
}

func (k *checker) say(name string, status Status, found, do string) {
	k.report.Checks = append(k.report.Checks, Check{name, status, found, do})
}
