package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/policy"
)

// The policies of the second hop, in the tags form of the EKS user guide
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html).
const (
	targetTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["sts:AssumeRole","sts:TagSession"],
		"Condition":{"StringEquals":{"aws:RequestTag/eks-cluster-arn":"arn:aws:eks:us-west-2:111122223333:cluster/example-cluster","aws:RequestTag/kubernetes-namespace":"default",
		"aws:RequestTag/kubernetes-service-account":"app"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/pods"}}}]}`
	podPermission = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Resource":"arn:aws:iam::444455556666:role/data"}]}`
)

// policy measures the judge: one hop of the guide's policies, and how long a
// large world takes to load.
func (b *bench) policy(ctx context.Context) error {
	if err := b.hop(); err != nil {
		return err
	}
	return b.world(ctx)
}

func (b *bench) hop() error {
	trust, err := policy.Parse(policy.Trust, targetTrust)
	if err != nil {
		return err
	}
	permission, err := policy.Parse(policy.Identity, podPermission)
	if err != nil {
		return err
	}
	of := policy.Policies{
		Identity: []policy.Policy{{Name: "permission", Type: policy.Identity, Document: permission}},
		Resource: []policy.Policy{{Name: "trust", Type: policy.Trust, Document: trust}},
	}
	r := policy.Request{
		Principal: policy.Principal{
			Kind: policy.RoleSession, ARN: "arn:aws:sts::111122223333:assumed-role/pods/s", AccountID: "111122223333",
			RoleARN: "arn:aws:iam::111122223333:role/pods", UniqueID: "AROAEXAMPLE:s",
		},
		Action: "sts:AssumeRole", Resource: "arn:aws:iam::444455556666:role/data", ResourceAccountID: "444455556666", Context: policy.Context{},
	}
	r.Context.Set("aws:PrincipalArn", "arn:aws:iam::111122223333:role/pods")
	r.Context.Set("aws:RequestTag/eks-cluster-arn", home.ARN())
	r.Context.Set("aws:RequestTag/kubernetes-namespace", "default")
	r.Context.Set("aws:RequestTag/kubernetes-service-account", "app")
	if d := policy.Evaluate(&r, &of); !d.Allowed() {
		return fmt.Errorf("the guide's policies deny: %+v", d)
	}
	var each []time.Duration
	const calls = 20_000
	for range b.rounds {
		began := time.Now()
		for range calls {
			policy.Evaluate(&r, &of)
		}
		each = append(each, time.Since(began)/calls)
	}
	allocations := testing.AllocsPerRun(1000, func() { policy.Evaluate(&r, &of) })
	b.row(row{what: "judging one hop, with all reasons", podid: fmt.Sprintf("%s, %.0f allocations", micros(median(each)), allocations), bound: "10 µs, few allocations",
		ok: median(each) < 10*time.Microsecond && allocations <= 8})
	return nil
}

// world is read from YAML and served, which includes judging it, keys for its
// accounts, and all listeners.
func (b *bench) world(ctx context.Context) error {
	const roles, bound = 10_000, time.Second
	text := []byte(worldOf(roles))
	var took, work []time.Duration
	for range 5 {
		before, err := ownProcessor()
		if err != nil {
			return err
		}
		d, err := load(ctx, text)
		if err != nil {
			return err
		}
		after, err := ownProcessor()
		if err != nil {
			return err
		}
		took, work = append(took, d), append(work, after-before)
	}
	b.row(row{what: "a world of 10,000 roles loads", podid: fmt.Sprintf("%s from %s of YAML", ms(median(took)), mib(int64(len(text)))), bound: "1 s", ok: median(took) < bound,
		busy: median(took) > 2*median(work), beside: ms(median(work)) + " of processor"})
	return nil
}

func load(ctx context.Context, text []byte) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	w, err := devenv.ParseWorld("bench", text)
	if err != nil {
		return 0, err
	}
	ready, done := make(chan time.Duration, 1), make(chan error, 1)
	go func() {
		done <- devenv.Run(ctx, devenv.Config{World: w, Ready: func(*devenv.Info) error { ready <- time.Since(began); return nil }})
	}()
	select {
	case d := <-ready:
		cancel()
		return d, <-done
	case err := <-done:
		return 0, errors.Join(errors.New("the world did not get ready"), err)
	}
}

// worldOf is a world with so many roles: pairs of Pod Identity and target roles.
func worldOf(roles int) string {
	var first, second strings.Builder
	for n := range roles / 2 {
		fmt.Fprintf(&first, "      - name: pods-%d\n        trust: %s\n        policies:\n          assume: %s\n", n,
			`{Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: pods.eks.amazonaws.com}, Action: [sts:AssumeRole, sts:TagSession]}]}`,
			strings.ReplaceAll(podPermission, "role/data", fmt.Sprintf("role/data-%d", n)))
		fmt.Fprintf(&second, "      - name: data-%d\n        trust: %s\n        policies:\n          read: %s\n", n,
			strings.ReplaceAll(strings.ReplaceAll(targetTrust, "role/pods", fmt.Sprintf("role/pods-%d", n)), "\n\t\t", ""),
			`{Version: "2012-10-17", Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: "arn:aws:s3:::data/*"}]}`)
	}
	return "accounts:\n  - id: \"111122223333\"\n    roles:\n" + first.String() + "  - id: \"444455556666\"\n    roles:\n" + second.String() +
		"clusters:\n  - {name: example-cluster, account: \"111122223333\", region: us-west-2}\n"
}
