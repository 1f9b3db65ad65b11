package shell

import (
	"os/exec"
	"strings"
	"testing"
)

func FuzzWord(f *testing.F) {
	for _, s := range []string{"", "plain-word_1.2/3:4=5,6@7+8", "two words", "it's", `a"b`, "$HOME `id` \\", "{\n  \"Version\": 1\n}", "~", "-n", "é", "!", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			t.Skip("no shell can pass a NUL")
		}
		out, err := exec.Command("sh", "-c", "printf %s "+Word(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("the shell read %q as %q, %v", s, out, err)
		}
	})
}
