package sts

import (
	"bytes"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// maxIdle is how many connections to STS are kept for later: as many as there
// may be calls at once by default (chain.Config.MaxInFlight). The SDK keeps ten,
// so that each volley of new pods would begin with TLS handshakes.
const maxIdle = 256

// httpClient is client, the SDK's own if nil, as suits many calls at once. A
// client that is not of the SDK's kind keeps its connections as it likes.
func httpClient(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	if buildable, ok := client.(*awshttp.BuildableClient); ok {
		client = buildable.WithTransportOptions(func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdle, maxIdle })
	}
	return inOnePiece{client}
}

// inOnePiece sends requests whose bodies net/http knows to be in memory: what
// the SDK makes of a body it cannot know, so it would send the headers ahead.
type inOnePiece struct{ aws.HTTPClient }

func (c inOnePiece) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.ContentLength > 0 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c.HTTPClient.Do(r)
}
