package interop

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/podid/podid/test/clients"
)

// What podid policies prints makes the chain pass as it stands, and explain has
// nothing to say against it: in each form, through the AWS CLI and Terraform.
func TestPrintedPolicies(t *testing.T) {
	_, err := exec.LookPath("aws")
	clients.Require(t, "aws", err == nil, "no aws on the PATH")
	const first, target = "arn:aws:iam::111122223333:role/shop/pods", "arn:aws:iam::444455556666:role/orders-data"
	binary := podid(t)
	for name, c := range map[string]struct {
		association []string // flags that both commands take
		form        string
		noTarget    bool
	}{
		"tags":                            {nil, "tags", false},
		"external ID, with tags":          {nil, "external-id", false},
		"external ID, without tags":       {[]string{"--disable-session-tags"}, "external-id", false},
		"what fits an association's tags": {[]string{"--disable-session-tags"}, "auto", false},
		"no target role":                  {nil, "auto", true},
	} {
		t.Run(name, func(t *testing.T) {
			info, profiles := startWithProfiles(t)
			s := clients.NewShell(t, append(info.Env(), profiles))
			flags := append([]string{"-n", "shop", "-s", "orders", "--role-arn", first}, c.association...)
			if !c.noTarget {
				flags = append(flags, "--target-role-arn", target)
			}
			commands := s.Run(binary, append([]string{"policies", "--form", c.form, "-o", "commands"}, flags...)...)
			s.Run("sh", "-c", commands)
			s.Run(binary, append([]string{"association", "create"}, flags...)...)
			passes(t, s, binary)
			// And for roles that are there: the same once more.
			s.Run("sh", "-c", s.Run(binary, "policies", "-n", "shop", "-s", "orders", "--form", c.form, "-o", "commands", "--existing"))
			passes(t, s, binary)
		})
	}
	t.Run("by Terraform", func(t *testing.T) {
		info, profiles := startWithProfiles(t)
		flags := []string{"-n", "shop", "-s", "orders", "--role-arn", first, "--target-role-arn", target}
		env := append(info.Env(), profiles)
		s := clients.Terraform(t, env, clients.NewShell(t, env).Run(binary, append([]string{"policies", "-o", "terraform"}, flags...)...))
		s.Run("terraform", "apply", "-auto-approve", "-input=false", "-no-color")
		s.Run("terraform", "plan", "-input=false", "-no-color", "-detailed-exitcode")
		s.Run(binary, append([]string{"association", "create"}, flags...)...)
		passes(t, s, binary)
	})
}

// passes gets credentials as the pod does, and asks explain.
func passes(t *testing.T, s *clients.Shell, binary string) {
	t.Helper()
	s.Run(binary, "exec", "-n", "shop", "-s", "orders", "--", "aws", "sts", "get-caller-identity")
	var report struct {
		Verdict  string
		Warnings []struct{ Text string }
	}
	if err := json.Unmarshal([]byte(s.Run(binary, "explain", "-n", "shop", "-s", "orders", "-o", "json")), &report); err != nil {
		t.Fatal(err)
	}
	if report.Verdict != "allowed" || len(report.Warnings) > 0 {
		t.Errorf("explain says %s, and warns: %v\n%s", report.Verdict, report.Warnings, s.Run(binary, "explain", "-n", "shop", "-s", "orders"))
	}
}

// TestPreflight explains before it changes anything, and then changes nothing.
func TestPreflight(t *testing.T) {
	_, err := exec.LookPath("aws")
	clients.Require(t, "aws", err == nil, "no aws on the PATH")
	info, profiles := startWithProfiles(t)
	s, binary := clients.NewShell(t, append(info.Env(), profiles)), podid(t)
	create := []string{"association", "create", "-n", "shop", "-s", "orders", "--role-arn", roleARN, "--target-role-arn", targetARN, "--explain"}
	s.Refused("nothing was changed", binary, create...)
	s.Refused("REFUSED at hop 2", binary, create...)
	list := func() string { return s.Run(binary, "association", "list", "-n", "shop") }
	if got := list(); strings.Contains(got, "orders") {
		t.Errorf("made all the same:\n%s", got)
	}
	s.Run("sh", "-c", s.Run(binary, "policies", "-n", "shop", "-s", "orders", "--role-arn", roleARN, "--target-role-arn", targetARN, "-o", "commands", "--existing"))
	s.Run(binary, create...)
	passes(t, s, binary)
	update := []string{"association", "update", "-n", "shop", "-s", "orders", "--disable-session-tags", "--explain"}
	s.Refused("nothing was changed", binary, update...)
	passes(t, s, binary)
	s.Run(binary, append(update, "--force")...)
	s.Refused("REFUSED at hop 2", binary, "explain", "-n", "shop", "-s", "orders")
}

func TestPrintedPoliciesRefuse(t *testing.T) {
	s := clients.NewShell(t, []string{"AWS_REGION=us-west-2"})
	binary := podid(t)
	for want, flags := range map[string]string{
		"Use the external-ID form":   "--form tags --disable-session-tags",
		"want tags, external-id or":  "--form both",
		"is not the ARN of an IAM":   "--target-role-arn arn:aws:iam::444455556666:user/x",
		"that podid works with":      "--first-hop-as pods.eks.amazonaws.com",
		`--output "yaml": want json`: "-o yaml",
		"--existing is for":          "--existing",
	} {
		args := append([]string{"policies", "--cluster", "c", "-n", "n", "-s", "s", "--role-arn", roleARN}, strings.Fields(flags)...)
		s.Refused(want, binary, args...)
	}
}
