package rolepolicy

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/shell"
)

// Target says for whom policies are printed.
type Target struct {
	// Profiles names the AWS CLI's profile of each account. An account that is
	// not in it has the profile of its id, as podid dev makes them.
	Profiles map[string]string
	// Region is that of the Terraform providers.
	Region string
	// Existing: the roles are there already, and only their policies change.
	Existing bool
}

func (t Target) profile(account string) string {
	if p, ok := t.Profiles[account]; ok {
		return p
	}
	return account
}

// Print writes policies for people, under the accounts where they go.
func Print(w io.Writer, policies []Policy) error {
	var b strings.Builder
	for i, p := range policies {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "# account %s: %s of the %s\n# %s\n", p.Account, titled(p), p.Role, p.RoleARN)
		b.Write(p.Document)
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func titled(p Policy) string {
	if p.Kind == Permission {
		return fmt.Sprintf("%s %q", p.Kind, p.Name)
	}
	return string(p.Kind)
}

// Commands writes policies as commands of the AWS CLI for a POSIX shell.
func Commands(w io.Writer, policies []Policy, t Target) error {
	var b strings.Builder
	b.WriteString("set -e\n")
	for _, p := range policies {
		profile := shell.Word(t.profile(p.Account))
		name, path := roleName(p.RoleARN)
		fmt.Fprintf(&b, "\n# account %s: %s of the %s\n", p.Account, titled(p), p.Role)
		switch {
		case p.Kind == Permission:
			fmt.Fprintf(&b, "aws iam put-role-policy --profile %s --role-name %s --policy-name %s --policy-document %s\n",
				profile, shell.Word(name), shell.Word(p.Name), shell.Word(string(p.Document)))
		case t.Existing:
			fmt.Fprintf(&b, "aws iam update-assume-role-policy --profile %s --role-name %s --policy-document %s\n",
				profile, shell.Word(name), shell.Word(string(p.Document)))
		default:
			fmt.Fprintf(&b, "aws iam create-role --profile %s --role-name %s", profile, shell.Word(name))
			if path != "/" {
				fmt.Fprintf(&b, " --path %s", shell.Word(path))
			}
			fmt.Fprintf(&b, " --assume-role-policy-document %s\n", shell.Word(string(p.Document)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Terraform writes policies as a configuration for the provider hashicorp/aws.
func Terraform(w io.Writer, policies []Policy, t Target) error {
	var b strings.Builder
	var accounts []string
	for _, p := range policies {
		if !slices.Contains(accounts, p.Account) {
			accounts = append(accounts, p.Account)
		}
	}
	for _, account := range accounts {
		fmt.Fprintf(&b, "provider \"aws\" {\n  alias   = \"account_%s\"\n  region  = %s\n  profile = %s\n}\n\n",
			account, literal(t.Region), literal(t.profile(account)))
	}
	for i, p := range policies {
		if i > 0 {
			b.WriteString("\n")
		}
		name, path := roleName(p.RoleARN)
		resource := "pod_identity"
		if p.Role == "target role" {
			resource = "target"
		}
		switch {
		case p.Kind == Permission:
			role := "aws_iam_role." + resource + ".id"
			if t.Existing {
				role = literal(name)
			}
			fmt.Fprintf(&b, "resource \"aws_iam_role_policy\" \"%s\" {\n  provider = aws.account_%s\n  role     = %s\n  name     = %s\n  policy   = %s\n}\n",
				resource, p.Account, role, literal(p.Name), heredoc(p.Document))
		default:
			if t.Existing {
				fmt.Fprintf(&b, "import {\n  provider = aws.account_%s\n  to       = aws_iam_role.%s\n  id       = %s\n}\n\n", p.Account, resource, literal(name))
			}
			fmt.Fprintf(&b, "resource \"aws_iam_role\" \"%s\" {\n  provider           = aws.account_%s\n  name               = %s\n  path               = %s\n  assume_role_policy = %s\n}\n",
				resource, p.Account, literal(name), literal(path), heredoc(p.Document))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// roleName returns a role's name and path.
func roleName(arn string) (name, path string) {
	a, err := identity.ParseARN(arn)
	if err != nil {
		return arn, "/"
	}
	path = strings.TrimPrefix(a.Resource, "role")
	at := strings.LastIndexByte(path, '/') + 1
	return path[at:], path[:at]
}

// literal is a string of Terraform's language, in which nothing is a template.
func literal(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(fmt.Sprintf("%q", s))
}

func heredoc(text []byte) string {
	body := strings.NewReplacer("${", "$${", "%{", "%%{", "\n", "\n    ").Replace(string(text))
	return "<<-JSON\n    " + body + "\n  JSON"
}
