// Package console drives the console's page in a real browser, and holds its
// types against the API's.
package console

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/test/clients"
)

// TestBrowser runs the scenarios of podid dev, and of made-up clusters, in Chromium.
func TestBrowser(t *testing.T) {
	browser := clients.NewBrowser(t)
	small := development(t, devenv.Config{World: smallWorld(t)})
	frozen := development(t, devenv.Config{World: smallWorld(t), ConsoleReadOnly: true})
	for range 3 {
		for _, team := range teams {
			ask(t, small, team.namespace, team.serviceAccount, team.serviceAccount+"-7d9f")
		}
	}
	browser.Run(t, clients.Scenarios{
		File: "scenarios.mjs",
		Asked: map[string]any{"token": "a-good-token", "urls": map[string]string{
			"small": small.URL, "readOnly": frozen.URL,
			"thousand": many(t, 1_000, ""), "fiveThousand": many(t, 5_000, ""), "fiftyThousand": many(t, 50_000, ""), "twoHundred": many(t, 200, ""),
			"signIn": many(t, 20, "a-good-token"),
		}},
		Do: func(t *testing.T, what, _ string) { outside(t, small, what) },
	})
}

// outside does what a scenario wants done outside of the browser.
func outside(t *testing.T, info *devenv.Info, what string) {
	t.Helper()
	switch what {
	case "mend": // what the explanation's fix says
		key := info.Administrator(dataAccount)
		client := iam.New(iam.Options{Region: "us-west-2", BaseEndpoint: &info.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey.Reveal()}, nil
		})})
		const trust = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
			"Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": {"StringEquals": {"aws:RequestTag/kubernetes-service-account": "ledger"}}}]}`
		if _, err := client.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String(brokenRole), PolicyDocument: aws.String(trust)}); err != nil {
			t.Error(err)
		}
	case "ask": // so that there is something new
		ask(t, info, "shop", "checkout", "checkout-live")
	default:
		t.Errorf("nobody knows how to do %q", what)
	}
}
