package explain

// Verdict is what explain says of a step, or of all of them.
type Verdict string

// The verdicts. Unknown means: something that could not be seen, or is not
// known before the call is made, can turn the answer either way.
const (
	Allowed Verdict = "allowed"
	Refused Verdict = "refused"
	Unknown Verdict = "unknown"
)

// Report is what explain found. Every step is walked, whatever the ones before
// it say: each is judged as if they had been allowed.
type Report struct {
	Verdict  Verdict   `json:"verdict"`
	Steps    []Step    `json:"steps"`
	Warnings []Warning `json:"warnings,omitempty"`
	Unseen   []Unseen  `json:"unseen,omitempty"`
	Live     *Live     `json:"live,omitempty"`
}

// The names of steps, in the order in which they come.
const (
	StepAssociation = "association"
	StepWebhook     = "webhook"
	StepHop1        = "hop-1"
	StepHop2        = "hop-2"
	StepAction      = "action"
)

// Step is one step of the path that credentials take.
type Step struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Verdict  Verdict   `json:"verdict"`
	Facts    []Fact    `json:"facts,omitempty"`
	Findings []Finding `json:"findings,omitempty"`
	// Fixes are the changes that together mend the step, in the order in which
	// to make them. Those of the steps before are taken as made.
	Fixes []Fix `json:"fixes,omitempty"`
}

// Fact is something that the step has shown, by name.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Finding is one permission of a step, and why it is there or not.
type Finding struct {
	Verdict  Verdict `json:"verdict"`
	Action   string  `json:"action,omitempty"`
	Resource string  `json:"resource,omitempty"`
	// Text says it in one sentence.
	Text string `json:"text"`
	// Statements are those that had a say: for what is allowed, the ones that
	// allow it; for what is refused, those that deny it, or come nearest to
	// allowing it.
	Statements []Statement `json:"statements,omitempty"`
}

// Statement is one statement of a policy, and why it did not match.
type Statement struct {
	Policy    string `json:"policy"`
	Sid       string `json:"sid,omitempty"`
	Statement int    `json:"statement"` // 1-based
	Line      int    `json:"line"`      // in the policy's text, 1-based
	Effect    string `json:"effect"`
	Matched   bool   `json:"matched"`
	Misses    []Miss `json:"misses,omitempty"`
}

// Miss is one element of a statement that did not match.
type Miss struct {
	Element  string   `json:"element"`
	Operator string   `json:"operator,omitempty"`
	Key      string   `json:"key,omitempty"`
	Wanted   []string `json:"wanted"`
	Got      []string `json:"got,omitempty"`
	Absent   bool     `json:"absent,omitempty"` // the key is not in the request
	// Hint says why the request is as it is, where that is known.
	Hint string `json:"hint,omitempty"`
}

// Fix is one change of one document.
type Fix struct {
	// Text says what the change does.
	Text string `json:"text"`
	// Account is where it has to be made.
	Account string `json:"account"`
	// Owner says who can make it, where that is not whoever owns the role.
	Owner string `json:"owner,omitempty"`
	// Document names what changes, and Diff how: a unified diff of its text.
	Document string `json:"document,omitempty"`
	Diff     string `json:"diff,omitempty"`
	// Commands make the change: for a POSIX shell, in order.
	Commands []string `json:"commands,omitempty"`
}

// Warning is something that works and is dangerous.
type Warning struct {
	Text  string `json:"text"`
	Where string `json:"where"` // the policy or role
	// Forecast: it is an estimate, not a finding.
	Forecast bool `json:"forecast,omitempty"`
}

// Unseen is something that explain could not read.
type Unseen struct {
	What    string `json:"what"`
	Reason  string `json:"reason"`
	Without string `json:"without"` // what can't be known without it
}

// Live is what the EKS Auth API itself answered.
type Live struct {
	Verdict Verdict `json:"verdict"`
	// Answer is the role session that was given, or the exception and its text.
	Answer string `json:"answer"`
	// Agrees tells whether the prediction was the same.
	Agrees bool   `json:"agrees"`
	Text   string `json:"text"`
}

// conclude makes the report's verdict from its steps': what is refused settles
// it, and what is unknown leaves it open.
func (r *Report) conclude() {
	r.Verdict = Allowed
	for _, s := range r.Steps {
		r.Verdict = worse(r.Verdict, s.Verdict)
	}
}

// settle takes what was tried into the verdict. AWS has the last word on the
// chain: a refusal refuses it, whatever was predicted; and of two answers that
// contradict each other the better one is not believed.
func (r *Report) settle() {
	switch {
	case r.Live.Verdict == Refused:
		r.Verdict = Refused
	case r.Live.Verdict == Allowed && !r.Live.Agrees:
		r.Verdict = Unknown
	}
}

func worse(a, b Verdict) Verdict {
	rank := map[Verdict]int{Allowed: 0, Unknown: 1, Refused: 2}
	if rank[b] > rank[a] {
		return b
	}
	return a
}
