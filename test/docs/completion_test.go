package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletion types the beginning of a command in real shells, and wants it
// completed.
func TestCompletion(t *testing.T) {
	bin := build(t)
	for shell, script := range map[string]string{
		"bash": `source /usr/share/bash-completion/bash_completion || exit 77
source <(podid completion bash)
COMP_LINE='podid association de' COMP_POINT=20 COMP_WORDS=(podid association de) COMP_CWORD=2
__start_podid
printf '%s\n' "${COMPREPLY[@]}"`,
		// An interactive zsh, to which the keys are typed.
		"zsh": `zmodload zsh/zpty || exit 77
zpty -b inner zsh -f -i
zpty -w inner "PS1='> '; autoload -U compinit; compinit -u -D; source <(podid completion zsh); compdef _podid podid; print READY"
zpty -r -m inner line '*READY*READY*'
zpty -w -n inner $'podid association de\t\t'
zpty -r -m inner line '*describe*'
print -r -- $line`,
		"fish": `podid completion fish | source
complete -C 'podid association de'`,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("** no %s on this machine: its completion is NOT TRIED **", shell)
			}
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "timeout", "60", shell, file)
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "TERM=xterm")
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() == 77 {
				t.Skipf("** what %s needs is not on this machine: its completion is NOT TRIED **\n%s", shell, out)
			}
			if err != nil || !strings.Contains(string(out), "delete") || !strings.Contains(string(out), "describe") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
