//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
)

// upstreamOf makes the client of the EKS Auth API: of podid's server with the
// agent's own token, or of any other with a signature. AWS's own, which no
// endpoint names, tells of no changes.
func upstreamOf(ctx context.Context, o *options) (*eksauth.Client, map[string]agent.Changes, error) {
	c := eksauth.ClientConfig{Cluster: o.clusterName, CAFile: o.caFile}
	if o.tokenFile != "" {
		c.Token = eksauth.TokenFile(o.tokenFile)
		if _, err := c.Token(); err != nil {
			return nil, nil, fmt.Errorf("the agent's own token: %w", err)
		}
	} else if err := signing(ctx, o, &c); err != nil {
		return nil, nil, err
	}
	if len(o.endpoints) > 0 {
		c.Endpoint, c.Replicas = o.endpoints[0], o.endpoints[1:]
	}
	client, err := eksauth.NewClient(c)
	if err != nil || c.Endpoint == "" {
		return client, nil, err
	}
	return client, map[string]agent.Changes{"": client}, nil
}

// signing fills in what AWS's default chain finds
// (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
func signing(ctx context.Context, o *options, c *eksauth.ClientConfig) error {
	found, err := config.LoadDefaultConfig(ctx, config.WithRegion(o.region))
	if err != nil {
		return err
	}
	if found.Region == "" {
		return errors.New("no region: set --region or AWS_REGION")
	}
	c.Region, c.Credentials = found.Region, found.Credentials
	if o.rotateCredentials {
		c.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(sharedFile))
	}
	if found.BaseEndpoint != nil {
		c.Endpoint = *found.BaseEndpoint
	}
	return nil
}

// sharedFile reads the default profile of the shared credentials file, which
// something else keeps fresh, and has it read again in a minute.
func sharedFile(ctx context.Context) (aws.Credentials, error) {
	profile, err := config.LoadSharedConfigProfile(ctx, config.DefaultSharedConfigProfile, func(o *config.LoadSharedConfigOptions) {
		o.ConfigFiles = []string{}
		if file := os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); file != "" {
			o.CredentialsFiles = []string{file}
		}
	})
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("reading the shared credentials file: %w", err)
	}
	credentials := profile.Credentials
	credentials.CanExpire, credentials.Expires = true, time.Now().Add(time.Minute)
	return credentials, nil
}
