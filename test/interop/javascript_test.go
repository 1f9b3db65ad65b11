package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/podid/podid/test/clients"
)

func TestJavaScript(t *testing.T) {
	_, err := exec.LookPath("node")
	clients.Require(t, "javascript", err == nil, "no node on the PATH")
	_, err = os.Stat("javascript/node_modules/@aws-sdk/client-eks")
	clients.Require(t, "javascript", err == nil, "run 'make clients' first")
	script, err := filepath.Abs("javascript/story.mjs")
	if err != nil {
		t.Fatal(err)
	}
	info := start(t)
	s := clients.NewShell(t, info.Env())
	t.Log(s.Run("node", script, "administrator"))
	t.Log(s.Run(podid(t), "exec", "-n", "default", "-s", "demo-app-sa", "--", "node", script, "pod"))
}
