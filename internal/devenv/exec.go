package devenv

import (
	"context"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/podexec"
)

// AsPod is how a program is run as a pod; the caller adds which, and where its
// input and output are.
func (c *Client) AsPod(pod Pod) podexec.Config {
	return podexec.Config{
		Credentials: c.AgentURL, Region: c.Region, Endpoint: c.Endpoint,
		Token: func(ctx context.Context) (podexec.Token, error) {
			token, err := c.Token(ctx, pod)
			if err != nil {
				return podexec.Token{}, err
			}
			// What was made up the first time stays.
			pod.Name, pod.UID, pod.Node = token.PodName, token.PodUID, token.NodeName
			return podexec.Token{Raw: identity.Secret(token.Token), Expires: token.Expires}, nil
		},
	}
}
