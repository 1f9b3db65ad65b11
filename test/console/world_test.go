package console

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	api "github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/issuer"
)

// The accounts of the worlds.
const (
	ownAccount  = "111122223333"
	dataAccount = "444455556666"
	mailAccount = "777788889999"
	cluster     = "example-cluster"
)

// brokenRole is a role whose trust pins a service account that does not exist.
const brokenRole = "ledger-reader"

// teams are the namespaces of the small world, and what their service accounts become.
var teams = []struct{ namespace, serviceAccount, account, role string }{
	{"shop", "checkout", dataAccount, "orders-writer"},
	{"shop", "catalog", dataAccount, "catalog-reader"},
	{"shop", "search-indexer", dataAccount, "catalog-reader"},
	{"payments", "invoices", dataAccount, "invoices-writer"},
	{"payments", "ledger", dataAccount, brokenRole},
	{"payments", "refunds", dataAccount, "orders-writer"},
	{"analytics", "daily-reports", dataAccount, "warehouse-reader"},
	{"analytics", "notebooks", dataAccount, "warehouse-reader"},
	{"analytics", "ingest", dataAccount, "warehouse-writer"},
	{"mail", "newsletter", mailAccount, "mail-sender"},
	{"mail", "bounces", mailAccount, "mail-events"},
	{"platform", "backup", "", ""}, // the Pod Identity role alone
	{"platform", "autoscaler", "", ""},
}

func roleARN(account, name string) string { return "arn:aws:iam::" + account + ":role/" + name }

// smallWorld is a world with one association that does not work, in JSON,
// which is YAML.
func smallWorld(t *testing.T) *devenv.World {
	t.Helper()
	type object = map[string]any
	statement := func(more object) object {
		s := object{"Effect": "Allow", "Action": []string{"sts:AssumeRole", "sts:TagSession"}}
		for k, v := range more {
			s[k] = v
		}
		return object{"Version": "2012-10-17", "Statement": []object{s}}
	}
	served := statement(object{"Principal": object{"Service": identity.ServicePrincipal}})
	roles := map[string][]object{ownAccount: {
		{"name": "pods", "description": "What pods of teams go through.", "trust": served, "policies": object{"assume": statement(object{"Resource": "arn:aws:iam::*:role/*"})}},
		{"name": "platform-operator", "description": "What the platform's own pods are.", "trust": served},
	}}
	var accounts, associations []object
	seen := map[string]bool{}
	for _, team := range teams {
		association := object{"cluster": cluster, "namespace": team.namespace, "serviceAccount": team.serviceAccount, "roleArn": roleARN(ownAccount, "platform-operator")}
		if team.role != "" {
			association["roleArn"], association["targetRoleArn"] = roleARN(ownAccount, "pods"), roleARN(team.account, team.role)
		}
		associations = append(associations, association)
		if team.role == "" || seen[team.role] {
			continue
		}
		seen[team.role] = true
		condition := object{"ArnEquals": object{"aws:PrincipalArn": roleARN(ownAccount, "pods")}}
		if team.role == brokenRole {
			condition["StringEquals"] = object{"aws:RequestTag/kubernetes-namespace": team.namespace, "aws:RequestTag/kubernetes-service-account": "ledgers"}
		}
		roles[team.account] = append(roles[team.account], object{
			"name": team.role, "trust": statement(object{"Principal": object{"AWS": "arn:aws:iam::" + ownAccount + ":root"}, "Condition": condition}),
		})
	}
	for _, a := range []struct{ id, name string }{{ownAccount, "platform"}, {dataAccount, "data"}, {mailAccount, "mail"}} {
		account := object{"id": a.id, "name": a.name, "roles": roles[a.id]}
		if a.id == dataAccount {
			account["buckets"] = []object{{"name": "shop-orders", "region": "us-west-2"}}
		}
		accounts = append(accounts, account)
	}
	var serviceAccounts []object
	for _, team := range teams {
		serviceAccounts = append(serviceAccounts, object{"namespace": team.namespace, "name": team.serviceAccount})
	}
	serviceAccounts = append(serviceAccounts, object{"namespace": "shop", "name": "recommendations"})
	return parsed(t, object{
		"accounts": accounts, "associations": associations,
		"clusters": []object{{"name": cluster, "account": ownAccount, "region": "us-west-2", "serviceAccounts": serviceAccounts}},
	})
}

func parsed(t *testing.T, world any) *devenv.World {
	t.Helper()
	text, err := json.Marshal(world)
	if err != nil {
		t.Fatal(err)
	}
	w, err := devenv.ParseWorld("world", text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// development runs podid dev until the test ends.
func development(t *testing.T, c devenv.Config) *devenv.Info {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan *devenv.Info, 1), make(chan error, 1)
	c.Ready = func(i *devenv.Info) error { ready <- i; return nil }
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)) // shown when the test fails
	go func() { done <- devenv.Run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("development mode: %v", err)
		}
	})
	select {
	case info := <-ready:
		return info
	case err := <-done:
		done <- err
		t.Fatalf("development mode did not start: %v", err)
		return nil
	}
}

// ask has a pod ask the agent for credentials; whether it gets any is not said.
func ask(t *testing.T, info *devenv.Info, namespace, serviceAccount, pod string) {
	t.Helper()
	token, err := info.Issuers[cluster].Mint(issuer.Request{Namespace: namespace, ServiceAccount: serviceAccount, PodName: pod, PodUID: "uid-" + pod, NodeName: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, info.AgentURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

// many serves a console of n made-up associations: of 40 namespaces for each
// 1,000, of two accounts for each, a hundredth of them failing. Without a token
// in it, "", it asks for none.
func many(t *testing.T, n int, token string) string {
	t.Helper()
	index := &api.Index{}
	c := identity.Cluster{Name: cluster, Region: "us-west-2", AccountID: ownAccount}
	namespaces := max(4, n/25)
	created := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	for i := range n {
		ns := i * 7919 % namespaces
		account := fmt.Sprintf("%012d", 200000000000+int64(ns%max(3, namespaces/20))*1111)
		r := api.Record{State: api.Working, LastIssued: created.Add(time.Duration(i) * time.Second), Association: identity.Association{
			ID: fmt.Sprintf("a-%017d", i), Cluster: c, Namespace: fmt.Sprintf("team-%03d", ns), ServiceAccount: fmt.Sprintf("service-%05d", i),
			RoleARN: roleARN(ownAccount, fmt.Sprintf("pods-of-%03d", ns/8)), TargetRoleARN: roleARN(account, fmt.Sprintf("reader-%03d", ns*3%max(5, namespaces/3))),
			CreatedAt: created, ModifiedAt: created.Add(time.Duration(i) * time.Second),
		}}
		if i%100 == 99 {
			r.State, r.StateReason = api.Failing, "The target role's trust policy does not let the Pod Identity role assume it."
			r.Object, r.Conditions = r.Namespace+"/"+r.ServiceAccount, conditions(created)
		}
		index.Put(r)
	}
	k, err := api.New(api.Config{Mode: api.Kubernetes, Clusters: []identity.Cluster{c}, Version: "v1.0.0", Index: index, Surroundings: surroundings(), Local: replica{}, User: func(r *http.Request) (api.User, error) {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if token != "" && bearer != token {
			return nil, identity.Errorf(identity.Unauthenticated, "The token is not one of this cluster.")
		}
		return reader{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(k)
	t.Cleanup(s.Close)
	return s.URL
}

// reader may see everything, and change nothing.
type reader struct{ api.User }

func (reader) Name() string                                { return "system:serviceaccount:audit:reader" }
func (reader) ARN() string                                 { return "" }
func (reader) Groups() []string                            { return []string{"system:authenticated"} }
func (reader) Scope(context.Context) (api.Scope, error)    { return api.Scope{All: true}, nil }
func (reader) Activity(context.Context) (api.Scope, error) { return api.Scope{All: true}, nil }
func (reader) May(context.Context, string) (api.May, error) {
	return api.May{Activity: true, Health: true}, nil
}
