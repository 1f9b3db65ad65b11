package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestJavaScript(t *testing.T) {
	_, err := exec.LookPath("node")
	require(t, "javascript", err == nil, "no node on the PATH")
	_, err = os.Stat("javascript/node_modules/@aws-sdk/client-eks")
	require(t, "javascript", err == nil, "run 'make clients' first")
	script, err := filepath.Abs("javascript/story.mjs")
	if err != nil {
		t.Fatal(err)
	}
	info := start(t)
	s := newShell(t, info.Env())
	t.Log(s.run("node", script, "administrator"))
	t.Log(s.run(podid(t), "exec", "-n", "default", "-s", "demo-app-sa", "--", "node", script, "pod"))
}
