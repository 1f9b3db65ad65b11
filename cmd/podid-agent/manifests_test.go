//go:build linux

package main

import (
	"io"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/deploy"
)

// TestManifestsStartTheAgent: podid-agent knows every flag that the chart gives it.
func TestManifestsStartTheAgent(t *testing.T) {
	var d appsv1.DaemonSet
	for text := range strings.SplitSeq(deploy.Manifests(), "\n---\n") {
		if strings.Contains(text, "\nkind: DaemonSet\n") {
			if err := yaml.Unmarshal([]byte(text), &d); err != nil {
				t.Fatal(err)
			}
		}
	}
	pod := d.Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 1 {
		t.Fatal("no DaemonSet of one container and one init container")
	}
	args := pod.Containers[0].Args
	if o, err := parseOptions(args[1:], io.Discard); err != nil || args[0] != "server" || o.link != linkUse || o.tokenFile == "" || o.caFile == "" {
		t.Errorf("%v: %v", args, err)
	}
	if args := pod.InitContainers[0].Args; len(args) != 1 || commands[args[0]] == nil {
		t.Errorf("the init container runs %v", args)
	}
}
