package interop

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/podid/podid/test/clients"
)

func TestBoto3(t *testing.T) {
	clients.Require(t, "boto3", exec.Command("python3", "-c", "import boto3").Run() == nil, "python3 cannot import boto3")
	script, err := filepath.Abs("testdata/boto3_story.py")
	if err != nil {
		t.Fatal(err)
	}
	info := start(t)
	s := clients.NewShell(t, info.Env())
	t.Log(s.Run("python3", script, "administrator"))
	t.Log(s.Run(podid(t), "exec", "-n", "default", "-s", "demo-app-sa", "--", "python3", script, "pod"))
}
