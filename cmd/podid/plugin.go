package main

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// The names by which kubectl finds podid: as a plugin, and what completes its
// arguments (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/).
const (
	plugin     = "kubectl-podid"
	completion = "kubectl_complete-podid"
)

func isPlugin(cmd *cobra.Command) bool { return cmd.Root().Name() == plugin }

// answerTo has root answer to the name that it was called by, and returns the
// arguments that it then has.
func answerTo(root *cobra.Command, name string, args []string) []string {
	name = strings.TrimSuffix(name, ".exe")
	if name == completion {
		name, args = plugin, append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	if name != plugin {
		return args
	}
	root.Use = plugin
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl podid"}
	inPlugin(root)
	return args
}

// called is podid at the start of a line of examples.
var called = regexp.MustCompile(`(?m)^(\s*)podid `)

// inPlugin has the examples of cmd, and of all below, say what to type.
func inPlugin(cmd *cobra.Command) {
	cmd.Example = called.ReplaceAllString(cmd.Example, "${1}kubectl podid ")
	for _, sub := range cmd.Commands() {
		inPlugin(sub)
	}
}
