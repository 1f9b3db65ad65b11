// Command podid gives pods of any Kubernetes cluster AWS credentials, as
// Amazon EKS Pod Identity does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(filepath.Base(os.Args[0]), os.Args[1:], os.Stdout, os.Stderr))
}

// exitStatus is an exit code that has already been explained.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// run runs a command of podid, which was called by that name.
func run(name string, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	if args = answerTo(root, name, args); isPlugin(root) {
		name = "kubectl podid"
	} else {
		name = "podid"
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "podid",
		Short:         "EKS Pod Identity, with target roles, for any Kubernetes cluster",
		SilenceErrors: true,
		SilenceUsage:  true,
		Long: `podid gives pods AWS credentials as Amazon EKS Pod Identity does, on any Kubernetes
cluster, and brings a small AWS of its own, so that all of it runs with no AWS account.`,
		Example: `  # see it work: two accounts, two role assumptions, and what is refused
  podid demo

  # a development AWS on loopback for your own SDK program, the AWS CLI or Terraform
  podid dev --env-file podid.env
  source podid.env
  podid exec -n default -s demo-app-sa -- aws sts get-caller-identity`,
	}
	root.AddCommand(
		newDev(), newDemo(), newExec(), newToken(), newAssociation(), newRevoke(), newExplain(), newAudit(), newPolicies(), newAccessKey(),
		newInstall(), newServer(), newStatus(), newVersion(), newMan(),
	)
	return root
}

// untilSignal ends the context at the first SIGINT or SIGTERM.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
}
