package devenv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/console"
)

// The variables of the env file by which commands find a running podid dev.
const (
	envEndpoint = "AWS_ENDPOINT_URL"
	envRegion   = "AWS_REGION"
	envKeyID    = "AWS_ACCESS_KEY_ID"
	envSecret   = "AWS_SECRET_ACCESS_KEY"
	envCluster  = "PODID_CLUSTER"
	// EnvAgentURL is what nothing but the env file sets.
	EnvAgentURL = "PODID_AGENT_URL"
	// envConfigFile names the profiles of all accounts
	// (https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html).
	envConfigFile = "AWS_CONFIG_FILE"
)

// ErrNotRunning says that no development mode was found.
var ErrNotRunning = errors.New("no running podid dev found: start one with 'podid dev --env-file podid.env', then 'source podid.env' in this shell")

// Client talks to a running development mode as an administrator.
type Client struct {
	Endpoint string
	Region   string
	Cluster  string
	AgentURL string
	keys     aws.Credentials
	http     *http.Client
}

// ClientFromEnv finds a running development mode through the variables that
// its env file sets. Its error is ErrNotRunning where they are not set.
func ClientFromEnv(getenv func(string) string) (*Client, error) {
	c := &Client{
		Endpoint: getenv(envEndpoint), Region: getenv(envRegion), Cluster: getenv(envCluster), AgentURL: getenv(EnvAgentURL),
		keys: aws.Credentials{AccessKeyID: getenv(envKeyID), SecretAccessKey: getenv(envSecret)},
		http: &http.Client{Timeout: 10 * time.Second},
	}
	for _, v := range []string{c.Endpoint, c.Region, c.Cluster, c.AgentURL, c.keys.AccessKeyID, c.keys.SecretAccessKey} {
		if v == "" {
			return nil, ErrNotRunning
		}
	}
	return c, nil
}

// Audit asks for audit events.
func (c *Client) Audit(ctx context.Context, q audit.Query) (audit.Reply, error) {
	return audit.Ask(ctx, c.http, AuditDoor(c.Endpoint), q)
}

// AuditDoor is where the development mode at that URL answers audit.Ask.
func AuditDoor(endpoint string) string { return endpoint + "/_podid" }

// Pod names the pod that a token is for. What is empty is made up by the
// development cluster, except the namespace and the service account.
type Pod struct {
	Cluster        string // empty: the client's
	Namespace      string
	ServiceAccount string
	Name           string
	Node           string
	Audience       string        // empty: pods.eks.amazonaws.com
	Lifetime       time.Duration // 0: a day, as the webhook asks for
	UID            string        // of the pod; the same pod keeps it when its token is renewed
}

// Token asks the development cluster for a service account token.
func (c *Client) Token(ctx context.Context, pod Pod) (TokenReply, error) {
	if pod.Cluster == "" {
		pod.Cluster = c.Cluster
	}
	body, err := json.Marshal(tokenRequest{
		PodName: pod.Name, PodUID: pod.UID, NodeName: pod.Node, Audience: pod.Audience, ExpirationSeconds: int64(pod.Lifetime / time.Second),
	})
	if err != nil {
		return TokenReply{}, err
	}
	target, err := url.JoinPath(c.Endpoint, "clusters", pod.Cluster, "namespaces", pod.Namespace, "serviceaccounts", pod.ServiceAccount, "token")
	if err != nil {
		return TokenReply{}, fmt.Errorf("%s: %w", envEndpoint, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return TokenReply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, c.keys, req, hex.EncodeToString(sum[:]), tokenService, c.Region, time.Now()); err != nil {
		return TokenReply{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return TokenReply{}, fmt.Errorf("podid dev does not answer at %s (is it still running?): %w", c.Endpoint, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return TokenReply{}, err
	}
	if res.StatusCode != http.StatusOK {
		var e struct{ Message string }
		_ = json.Unmarshal(answer, &e)
		return TokenReply{}, fmt.Errorf("token: %s (%s)", e.Message, res.Header.Get("X-Amzn-Errortype"))
	}
	var reply TokenReply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return TokenReply{}, fmt.Errorf("token: %w", err)
	}
	return reply, nil
}

// Console asks the API of the console for what is at path, below its prefix.
func (c *Client) Console(ctx context.Context, path string, reply any) error {
	target, err := url.JoinPath(c.Endpoint, console.Prefix, path)
	if err != nil {
		return fmt.Errorf("%s: %w", envEndpoint, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("podid dev does not answer at %s (is it still running?): %w", c.Endpoint, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var refusal console.ErrorReply
		if err := json.Unmarshal(answer, &refusal); err != nil {
			return fmt.Errorf("podid dev answered %s", res.Status)
		}
		return errors.New(refusal.Error.Message)
	}
	return json.Unmarshal(answer, reply)
}
