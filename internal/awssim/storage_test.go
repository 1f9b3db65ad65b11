package awssim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/podid/podid/internal/identity"
)

func reopen(t *testing.T, path string) func(*Config) {
	t.Helper()
	storage, err := OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { storage.Close() })
	return func(c *Config) { c.Storage = storage }
}

// Everything is there after a restart, sessions and access keys too; the world
// of the new start is not applied again.
func TestStorageSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder #1", "aws.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	world := guideWorld(trust(`{"AWS":"`+podRoleARN+`"}`, assumeAndTag, ""))
	world.Accounts[0].Policies = []ManagedPolicy{{Name: "own", Document: mayAll}}
	world.Accounts[0].Roles[0].PermissionsBoundary = "arn:aws:iam::111122223333:policy/own"
	world.Accounts[1].Buckets = []Bucket{{Name: "bucket", Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + podRoleARN + `"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}`}}
	world.Accounts[1].OIDCProviders = []OIDCProvider{{URL: webIssuer, ClientIDs: []string{"a"}}}
	world.Organization = &Organization{ID: "o-exampleorg", ManagementAccountID: targetAccount, Root: Unit{Name: "root", Accounts: []string{clusterAccount, targetAccount}}}
	f := start(t, world, reopen(t, path))
	session := f.firstHop(true)
	f.change(podRoleARN, func(r *role) { r.Description = "changed" })
	before, _ := f.sim.state.roleByARN(podRoleARN)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v: %v", info.Mode(), err)
	}

	// As after a kill: the first one was never closed.
	f2 := start(t, World{}, reopen(t, path))
	again := f2.as(session)
	if who, err := again.GetCallerIdentity(t.Context(), nil); err != nil || *who.Arn != podSession {
		t.Errorf("the session after the restart: %v %v", who, err)
	}
	f2.assume(again, sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)})
	if _, err := f2.alice().GetCallerIdentity(t.Context(), nil); err != nil {
		t.Errorf("alice's key after the restart: %v", err)
	}
	r, ok := f2.sim.state.roleByARN(podRoleARN)
	if !ok || r.ID != before.ID || r.Description != "changed" || !r.Created.Equal(before.Created) || r.Boundary == "" || len(r.Tags) != 1 {
		t.Errorf("the role after the restart is %+v", r)
	}
	if b, ok := f2.sim.state.bucket("bucket"); !ok || b.Policy.IDs[podRoleARN] != before.ID {
		t.Errorf("the bucket's policy lost whom it means")
	}
	if _, ok := f2.sim.state.provider(targetAccount, "oidc.example/id/1"); !ok {
		t.Error("the OIDC provider is gone")
	}
	if id, _ := f2.sim.state.organization().of(clusterAccount); id != "o-exampleorg" {
		t.Error("the organization is gone")
	}
}

// failingStorage refuses every change after the seed.
type failingStorage struct {
	noStorage
	fail bool
}

func (s *failingStorage) Commit([]Change) error {
	if s.fail {
		return errors.New("disk full")
	}
	return nil
}

func TestWhatIsNotStoredIsNotSeen(t *testing.T) {
	storage := &failingStorage{}
	f := start(t, guideWorld(trustService), func(c *Config) { c.Storage = storage })
	storage.fail = true
	err := f.sim.state.update(func(tx *tx) error {
		r, _ := f.sim.state.roleByARN(podRoleARN)
		tx.delete(r)
		return nil
	})
	if err == nil {
		t.Error("an update succeeded without its storage")
	}
	if _, ok := f.sim.state.roleByARN(podRoleARN); !ok {
		t.Error("a change was seen that was not stored")
	}
}

// A start with 10,000 roles is to take less than a second.
func BenchmarkLoadTenThousandRoles(b *testing.B) {
	path := filepath.Join(b.TempDir(), "aws.db")
	world := guideWorld(trustService)
	for i := range 10_000 {
		world.Accounts[0].Roles = append(world.Accounts[0].Roles, Role{
			Name: fmt.Sprintf("role-%d", i), TrustPolicy: formB, InlinePolicies: map[string]string{"assume": mayAssume},
		})
	}
	load := func(w World) {
		storage, err := OpenSQLite(path)
		if err != nil {
			b.Fatal(err)
		}
		defer storage.Close()
		sim, err := New(Config{World: w, Storage: storage})
		if err != nil {
			b.Fatal(err)
		}
		if n := len(sim.state.rolesOf(clusterAccount)); n != 10_001 {
			b.Errorf("%d roles", n)
		}
	}
	load(world)
	for b.Loop() {
		load(World{})
	}
}

// Readers, writers and the decision log at once; it is for the race detector.
func TestConcurrency(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, "")))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 10 {
				hop1, err := f.service().AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN), RoleSessionName: aws.String("ab")})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.as(hop1).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), RoleSessionName: aws.String("ab")}); err != nil {
					t.Error(err)
				}
				f.sim.decisions.last(10)
				f.sim.state.rolesOf(clusterAccount)
			}
		})
		all.Go(func() {
			for n := range 20 {
				err := f.sim.state.update(func(tx *tx) error {
					r, _ := f.sim.state.roleByARN(podRoleARN)
					edited := *r
					edited.Description = fmt.Sprint(i, n)
					tx.put(&edited)
					u := &user{principal: principal{AccountID: clusterAccount, Name: fmt.Sprint("user", i), Path: "/", ID: newUniqueID(prefixUser)}}
					tx.put(u)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(f.sim.state.userIDs); n != 5 {
		t.Errorf("%d unique ids of users; replaced users leave none behind", n)
	}
}

func TestWorldsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*World)
		want   string
	}{
		"account id":    {func(w *World) { w.Accounts[0].ID = "1" }, "12 digits"},
		"account twice": {func(w *World) { w.Accounts[1] = w.Accounts[0] }, "twice"},
		"role twice, but for case": {func(w *World) {
			r := w.Accounts[0].Roles[0]
			r.Name = "POD-ROLE"
			w.Accounts[0].Roles = append(w.Accounts[0].Roles, r)
		}, "twice"},
		"bucket of two accounts": {func(w *World) {
			w.Accounts[0].Buckets, w.Accounts[1].Buckets = []Bucket{{Name: "b"}}, []Bucket{{Name: "b"}}
		}, "twice"},
		"no trust policy": {func(w *World) { w.Accounts[0].Roles[0].TrustPolicy = "" }, "trust policy of arn:aws:iam::111122223333:role/eks/pod-role"},
		"unknown principal": {func(w *World) {
			w.Accounts[0].Roles[0].TrustPolicy = trust(`{"AWS":"arn:aws:iam::111122223333:role/nobody"}`, assumeAndTag, "")
		}, `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:role/nobody"`},
		"unknown managed":  {func(w *World) { w.Accounts[0].Roles[0].ManagedPolicies = []string{"arn:aws:iam::aws:policy/Nope"} }, "no managed policy"},
		"role as a policy": {func(w *World) { w.Accounts[0].Roles[0].ManagedPolicies = []string{podRoleARN} }, "no managed policy"},
		"unknown boundary": {func(w *World) { w.Accounts[0].Users[0].PermissionsBoundary = "arn:aws:iam::111122223333:policy/x" }, "no managed policy"},
		"session too long": {func(w *World) { w.Accounts[0].Roles[0].MaxSessionDuration = 13 * time.Hour }, "twelve hours"},
		"service's key":    {func(w *World) { w.Accounts[0].Users[0].AccessKeys[0].ID = serviceKeyID }, "taken"},
		"temporary key":    {func(w *World) { w.Accounts[0].Users[0].AccessKeys[0].ID = "ASIA0000000000000000" }, "temporary"},
		"plain issuer":     {func(w *World) { w.Accounts[0].OIDCProviders = []OIDCProvider{{URL: "http://oidc.example"}} }, "https://"},
		"path":             {func(w *World) { w.Accounts[0].Roles[0].Path = "eks" }, "path"},
		"account in two units": {func(w *World) {
			w.Organization = &Organization{ID: "o-x", Root: Unit{Accounts: []string{clusterAccount}, Units: []Unit{{Accounts: []string{clusterAccount}}}}}
		}, "two places"},
	} {
		t.Run(name, func(t *testing.T) {
			w := guideWorld(trustService)
			c.change(&w)
			_, err := New(Config{World: w, ServiceKeys: []ServiceKey{{AccessKeyID: serviceKeyID, Secret: testSecret, Service: "pods.eks.amazonaws.com"}}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzOpenSessionToken(f *testing.F) {
	s, err := newSealer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	creds, err := s.seal(&session{AccessKeyID: "ASIA0000000000000000", RoleID: "AROA", Name: "n", Tags: []identity.Tag{{Key: "k", Value: "v"}}})
	if err != nil {
		f.Fatal(err)
	}
	token := creds.SessionToken.Reveal()
	for _, seed := range []string{token, token[1:], token[:len(token)-4], token + "\n", token + token, "", "garbage", strings.Repeat("A", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if se, err := s.open(text); err == nil {
			raw, err := base64.StdEncoding.DecodeString(text)
			if err != nil || base64.StdEncoding.EncodeToString(raw) != text || se.Name != "n" {
				t.Errorf("%q was opened", text)
			}
		}
	})
}
