package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/shell"
)

// Mutation is what a pod shows of the webhook.
type Mutation struct {
	Pod     string
	Created time.Time
	// Without names the containers that lack the variables or the token.
	Without []string
	// OwnKeys names the containers with AWS keys of their own.
	OwnKeys []string
	// Controlled: something makes the pod anew when it is deleted.
	Controlled bool
}

// webhook tells what the admission webhook does to pods of the service account
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html),
// and what it did to the one that was looked at.
func (w *walk) webhook(a identity.Association) {
	pod := w.question.Pod
	if pod == "" {
		pod = "POD"
	}
	step := Step{
		Name: StepWebhook, Title: "Webhook: what new pods of the service account get", Verdict: Allowed,
		Facts: []Fact{
			{"environment", "AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, in every container"},
			{"volume", "eks-pod-identity-token: a service account token for " + identity.Audience},
			{"precedence", "an IRSA annotation of the service account loses; AWS keys in a container's own environment win"},
		},
	}
	if w.question.Mutation != nil {
		w.question.Mutation.judge(&step, a)
	} else {
		step.Facts = append(step.Facts,
			Fact{"to check", fmt.Sprintf("kubectl -n %s get pod %s -o jsonpath='{.spec.containers[*].env[*].name}'; pods older than the association lack them", w.question.Namespace, pod)})
	}
	w.report.Steps = append(w.report.Steps, step)
}

// judge adds to the step what the pod shows.
func (m *Mutation) judge(step *Step, a identity.Association) {
	for _, name := range m.OwnKeys {
		step.Findings = append(step.Findings, Finding{Verdict: Refused, Text: fmt.Sprintf("container %s of pod %s has AWS keys in its environment, which the SDKs take first", name, m.Pod)})
		step.Verdict = Refused
	}
	if len(m.Without) == 0 {
		step.Findings = append(step.Findings, Finding{Verdict: Allowed, Text: "pod " + m.Pod + " has the variables and the token"})
		return
	}
	why := "the webhook left it out: is it labelled to be skipped, or was podid away when it was made?"
	if m.Created.Before(a.CreatedAt) {
		why = "it is older than the association"
	}
	step.Verdict = Refused
	step.Findings = append(step.Findings, Finding{Verdict: Refused,
		Text: fmt.Sprintf("pod %s lacks them in %s: %s", m.Pod, strings.Join(m.Without, ", "), why)})
	fix := Fix{Text: "apply pod " + m.Pod + " anew: nothing else makes it again"}
	if m.Controlled {
		fix = Fix{
			Text:     "have pod " + m.Pod + " made anew, by whatever controls it",
			Commands: []string{"kubectl -n " + shell.Word(a.Namespace) + " delete pod " + shell.Word(m.Pod)},
		}
	}
	step.Fixes = []Fix{fix}
}
