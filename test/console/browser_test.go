// Package console drives the console's page in a real browser, and holds its
// types against the API's.
package console

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/test/clients"
)

// report is a line that console/tests/run.mjs writes: what became of a
// scenario, or something that it wants done meanwhile.
type report struct {
	Scenario string   `json:"scenario"`
	Problems []string `json:"problems"`
	Notes    []string `json:"notes"`
	Do       string   `json:"do"`
}

// TestBrowser runs the scenarios of console/tests in Chromium.
func TestBrowser(t *testing.T) {
	node, err := exec.LookPath("node")
	clients.Require(t, "browser", err == nil, "no node on the PATH")
	chromium, err := exec.LookPath("chromium")
	clients.Require(t, "browser", err == nil, "no chromium on the PATH: run 'make browser'")
	_, err = os.Stat("../../console/node_modules/playwright-core")
	clients.Require(t, "browser", err == nil, "run 'make console-check' first")
	pictures := os.Getenv("PODID_SCREENSHOTS")
	if pictures == "" {
		if pictures, err = os.MkdirTemp("", "podid-console-"); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("screenshots are in %s (PODID_SCREENSHOTS chooses another folder)", pictures)

	small := development(t, devenv.Config{World: smallWorld(t)})
	frozen := development(t, devenv.Config{World: smallWorld(t), ConsoleReadOnly: true})
	for range 3 {
		for _, team := range teams {
			ask(t, small, team.namespace, team.serviceAccount, team.serviceAccount+"-7d9f")
		}
	}
	urls := map[string]string{
		"small": small.URL, "readOnly": frozen.URL,
		"thousand": many(t, 1_000, ""), "fiveThousand": many(t, 5_000, ""), "fiftyThousand": many(t, 50_000, ""), "twoHundred": many(t, 200, ""),
		"signIn": many(t, 20, "a-good-token"),
	}
	asked, err := json.Marshal(map[string]any{"urls": urls, "chromium": chromium, "screenshots": pictures, "token": "a-good-token", "only": os.Getenv("PODID_SCENARIO")})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, filepath.Join("..", "..", "console", "tests", "run.mjs"), string(asked))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ran := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Errorf("the browser's script wrote %q", lines.Text())
			continue
		}
		if r.Do != "" {
			r.do(t, small)
			if _, err := io.WriteString(in, "done\n"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		ran++
		t.Run(r.Scenario, func(t *testing.T) {
			for _, n := range r.Notes {
				t.Log(n)
			}
			for _, p := range r.Problems {
				t.Error(p)
			}
		})
	}
	if err := cmd.Wait(); err != nil || lines.Err() != nil || ran == 0 {
		t.Errorf("the browser's script ran %d scenarios: %v %v", ran, err, lines.Err())
	}
}

// do does what a scenario wants done outside of the browser.
func (r report) do(t *testing.T, info *devenv.Info) {
	t.Helper()
	switch r.Do {
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
		t.Errorf("nobody knows how to do %q", r.Do)
	}
}
