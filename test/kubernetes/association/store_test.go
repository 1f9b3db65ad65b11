package association

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	rules "github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

const unlimited = 1 << 30

func wanted(ns, name string) identity.Association {
	return identity.Association{
		ID: "a-ofthecallersown00", Cluster: home, Namespace: ns, ServiceAccount: name, RoleARN: role, TargetRoleARN: target,
		Tags: map[string]string{"team": "a b"},
	}
}

func once(token, digest string) rules.Once {
	return rules.Once{Token: token, Digest: digest, At: time.Now()}
}

func none(identity.Association) error { return nil }

// TestStore has two replicas of podid on one API server.
func TestStore(t *testing.T) {
	c := start(t, cluster.Newest)
	ns := c.Namespace(t, "shop")
	c.Namespace(t, "crowd")
	a, b := running(t, c.Config), running(t, c.Config)
	for name, try := range map[string]func(*testing.T, *replica, *replica, string){
		"one for each":                triesOneForEach,
		"reads see writes":            triesReadsSeeWrites,
		"requests that are repeated":  triesRepeats,
		"nothing is overwritten":      triesConcurrentEdits,
		"made by kubectl":             triesKubectl,
		"limit":                       triesLimit,
		"what is not there":           triesWhatIsNotThere,
		"deleted, but for finalizers": triesFinalizers,
		"deleted and made again":      triesMadeAgain,
		"revoked":                     triesRevoked,
		"sequence":                    triesSequence,
		"count and version":           triesCount,
	} {
		t.Run(name, func(t *testing.T) { try(t, a, b, ns) })
	}
}

// triesOneForEach: of many who create at once, one succeeds, and the others hear its id.
func triesOneForEach(t *testing.T, a, b *replica, ns string) {
	var made atomic.Pointer[identity.Association]
	refusals := make(chan error, 20)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			got, err := []*replica{a, b}[i%2].Create(t.Context(), wanted(ns, "unique"), rules.Once{}, unlimited)
			if err != nil {
				refusals <- err
			} else if made.Swap(&got) != nil {
				t.Error("created twice")
			}
		})
	}
	all.Wait()
	close(refusals)
	if made.Load() == nil {
		t.Fatal("nobody created it")
	}
	for err := range refusals {
		if identity.KindOf(err) != identity.InUse || !strings.HasSuffix(err.Error(), "Association already exists: "+made.Load().ID) {
			t.Errorf("got %v", err)
		}
	}
}

// triesReadsSeeWrites: what one replica has acknowledged, the other shows at once.
func triesReadsSeeWrites(t *testing.T, a, b *replica, ns string) {
	for i := range 50 {
		name := fmt.Sprint("seen", i)
		writer, reader := a, b
		if i%2 == 1 {
			writer, reader = b, a
		}
		made, err := writer.Create(t.Context(), wanted(ns, name), rules.Once{}, unlimited)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := reader.Lookup(t.Context(), ns, name); err != nil || fmt.Sprint(got) != fmt.Sprint(made) {
			t.Fatalf("Lookup: %+v, %v\nwant    %+v", got, err, made)
		}
		see := func(want *identity.Association) {
			t.Helper()
			for how, q := range map[string]rules.Query{
				"by id":              {ID: made.ID},
				"by service account": {Namespace: ns, ServiceAccount: name},
				"in the namespace":   {Namespace: ns},
				"in the cluster":     {},
				"by name alone":      {ServiceAccount: name},
			} {
				q.Cluster, q.Limit = home, 1000
				found, err := reader.Find(t.Context(), q)
				var got *identity.Association
				for i := range found {
					if found[i].ID == made.ID {
						got = &found[i]
					}
				}
				if err != nil || (got == nil) != (want == nil) || got != nil && fmt.Sprint(*got) != fmt.Sprint(*want) {
					t.Fatalf("%s: %+v, %v; want %+v", how, got, err, want)
				}
			}
		}
		see(&made)
		changed, err := writer.Update(t.Context(), home, made.ID, rules.Once{}, func(x *identity.Association) error {
			x.TargetRoleARN, x.DisableSessionTags, x.Policy, x.Tags = "", true, narrow, nil
			return nil
		})
		if err != nil || changed.TargetRoleARN != "" || changed.Policy != narrow || changed.Tags != nil || changed.ID != made.ID || changed.CreatedAt != made.CreatedAt {
			t.Fatalf("%+v, %v", changed, err)
		}
		see(&changed)
		if _, err := writer.Delete(t.Context(), home, made.ID, none); err != nil {
			t.Fatal(err)
		}
		see(nil)
	}
}

// triesRepeats: a request that comes again is not done again, whichever replica it comes to.
func triesRepeats(t *testing.T, a, b *replica, ns string) {
	first, err := a.Create(t.Context(), wanted(ns, "repeat"), once("token-1", "asked"), unlimited)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Create(t.Context(), wanted(ns, "repeat"), once("token-1", "asked"), unlimited); err != nil || again.ID != first.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	_, err = b.Create(t.Context(), wanted(ns, "repeat"), once("token-1", "something else"), unlimited)
	wantKind(t, err, identity.InvalidParameter)
	_, err = b.Create(t.Context(), wanted(ns, "repeat"), once("token-2", "asked"), unlimited)
	wantKind(t, err, identity.InUse)
	within(t, 10*time.Second, "a token that came for another service account is refused", func() error {
		_, err := b.Create(t.Context(), wanted(ns, "another"), once("token-1", "something else"), unlimited)
		if identity.KindOf(err) == identity.InvalidParameter {
			return nil
		}
		if err == nil {
			t.Fatal("created")
		}
		return err
	})

	edits := 0
	edit := func(target string) func(*identity.Association) error {
		return func(x *identity.Association) error { edits++; x.TargetRoleARN = target; return nil }
	}
	if _, err := a.Update(t.Context(), home, first.ID, once("token-3", "update"), edit(target+"2")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Update(t.Context(), home, first.ID, rules.Once{}, edit(target+"3")); err != nil {
		t.Fatal(err)
	}
	late, err := b.Update(t.Context(), home, first.ID, once("token-3", "update"), edit(target+"2"))
	if err != nil || late.TargetRoleARN != target+"3" || edits != 2 {
		t.Errorf("a late copy: %+v, %v; %d edits", late, err, edits)
	}
	_, err = b.Update(t.Context(), home, first.ID, once("token-3", "other"), edit(""))
	wantKind(t, err, identity.InvalidParameter)
}

// triesConcurrentEdits: many who each add a tag lose none of them.
func triesConcurrentEdits(t *testing.T, a, b *replica, ns string) {
	made, err := a.Create(t.Context(), wanted(ns, "edited"), rules.Once{}, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			_, err := []*replica{a, b}[i%2].Update(t.Context(), home, made.ID, once(fmt.Sprint("edit", i), ""), func(x *identity.Association) error {
				x.Tags[fmt.Sprint("k", i)] = "v"
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := b.Lookup(t.Context(), ns, "edited")
	if err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the informer has all", func() error {
		if got, err = b.Lookup(t.Context(), ns, "edited"); err != nil || len(got.Tags) != 17 {
			return fmt.Errorf("%d tags, %w", len(got.Tags), err)
		}
		return nil
	})
	// An error of the edit changes nothing, and comes back as it is.
	no := errors.New("no")
	if _, err := a.Update(t.Context(), home, made.ID, rules.Once{}, func(x *identity.Association) error { x.RoleARN = ""; return no }); !errors.Is(err, no) {
		t.Error(err)
	}
	if _, err := a.Delete(t.Context(), home, made.ID, func(identity.Association) error { return no }); !errors.Is(err, no) {
		t.Error(err)
	}
	// A check that was made before a change does not stand for what is there after it.
	checks := 0
	_, err = a.Delete(t.Context(), home, made.ID, func(x identity.Association) error {
		if checks++; checks > 1 {
			return no
		}
		_, err := b.Update(t.Context(), home, made.ID, rules.Once{}, func(x *identity.Association) error { x.Tags = map[string]string{"locked": "yes"}; return nil })
		return err
	})
	if !errors.Is(err, no) || checks != 2 {
		t.Errorf("%v after %d checks", err, checks)
	}
}

// triesKubectl: objects that others make are associations like any other, and
// what others wrote into them stays.
func triesKubectl(t *testing.T, a, b *replica, ns string) {
	o := object(ns, "by-hand")
	o.Labels = map[string]string{"app": "shop"}
	create(t, a.live, o)
	got, err := b.Lookup(t.Context(), ns, "by-hand")
	if err != nil || got.ID != kube.ID(o.UID) || got.RoleARN != role || got.CreatedAt.IsZero() || got.ModifiedAt != got.CreatedAt {
		t.Errorf("%+v, %v", got, err)
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	updated, err := b.Update(t.Context(), home, got.ID, rules.Once{}, func(x *identity.Association) error { x.TargetRoleARN, x.ModifiedAt = "", at; return nil })
	if err != nil || !updated.ModifiedAt.Equal(at) {
		t.Errorf("%+v, %v", updated, err)
	}
	after := &v1alpha1.PodIdentityAssociation{}
	if err := a.live.Get(t.Context(), client.ObjectKeyFromObject(o), after); err != nil || after.Labels["app"] != "shop" {
		t.Errorf("%v, %v", after.Labels, err)
	}
	after.Status.AssociationID = "x"
	if err := a.live.Status().Update(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	if same, err := b.Find(t.Context(), rules.Query{Cluster: home, ID: got.ID, Limit: 1}); err != nil || !same[0].ModifiedAt.Equal(updated.ModifiedAt) {
		t.Errorf("a change of the status counts as one: %+v, %v", same, err)
	}
}

func triesLimit(t *testing.T, a, b *replica, ns string) {
	all, err := a.Find(t.Context(), rules.Query{Cluster: home, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Create(t.Context(), wanted(ns, "one-more"), rules.Once{}, len(all))
	wantKind(t, err, identity.LimitExceeded)
	if _, err := b.Create(t.Context(), wanted(ns, "one-more"), rules.Once{}, len(all)+1); err != nil {
		t.Error(err)
	}
	_, err = a.Create(t.Context(), wanted(ns, "one-more"), rules.Once{}, 1)
	wantKind(t, err, identity.InUse)
}

// triesCount: an informer that has reached a version read live has all that was made before.
func triesCount(t *testing.T, a, b *replica, ns string) {
	count := func(r *replica, want int) {
		t.Helper()
		within(t, 20*time.Second, "the count", func() error {
			if got := r.Count("crowd"); got != want {
				return fmt.Errorf("%d", got)
			}
			return nil
		})
	}
	var last identity.Association
	for i := range 20 {
		made, err := a.Create(t.Context(), wanted("crowd", fmt.Sprint("app-", i)), rules.Once{}, unlimited)
		if err != nil {
			t.Fatal(err)
		}
		version, err := b.Version(t.Context())
		if err != nil || version == 0 {
			t.Fatal(version, err)
		}
		if b.Reached() >= version {
			if _, known := b.Known("crowd", made.ServiceAccount); !known {
				t.Errorf("%s is not known, but version %d was reached", made.ServiceAccount, version)
			}
		}
		last = made
	}
	count(b, 20)
	if _, err := b.Delete(t.Context(), home, last.ID, none); err != nil {
		t.Fatal(err)
	}
	count(a, 19)
	if n := a.Count("nowhere"); n != 0 {
		t.Errorf("%d in a namespace that is none", n)
	}
}

func triesWhatIsNotThere(t *testing.T, a, b *replica, ns string) {
	for _, names := range [][2]string{{ns, "nobody"}, {"nowhere", "app"}, {"", "app"}, {ns, ""}, {"..", "app"}, {ns, "a/b"}, {ns, "%2e"}} {
		_, err := a.Lookup(t.Context(), names[0], names[1])
		wantKind(t, err, identity.NotFound)
		if _, known := a.Known(names[0], names[1]); known {
			t.Errorf("%q is known", names)
		}
	}
	const id = "a-00000000000000000"
	_, err := a.Update(t.Context(), home, id, rules.Once{}, func(*identity.Association) error { return nil })
	wantKind(t, err, identity.NotFound)
	_, err = b.Delete(t.Context(), home, id, none)
	wantKind(t, err, identity.NotFound)
	elsewhere := home
	elsewhere.Name = "another"
	if found, err := a.Find(t.Context(), rules.Query{Cluster: elsewhere, Limit: 10}); err != nil || len(found) > 0 {
		t.Errorf("of another cluster: %v, %v", found, err)
	}
	_, err = a.Create(t.Context(), wanted("nowhere", "app"), rules.Once{}, unlimited)
	wantKind(t, err, identity.InvalidRequest)
	if !strings.Contains(identity.SafeMessage(err), "no namespace nowhere") {
		t.Error(err)
	}
	bad := wanted(ns, "bad")
	bad.RoleARN = "refused by the schema"
	_, err = a.Create(t.Context(), bad, rules.Once{}, unlimited)
	wantKind(t, err, identity.InvalidRequest)
}

// triesFinalizers: an object that only waits for its finalizers gives nobody anything.
func triesFinalizers(t *testing.T, a, b *replica, ns string) {
	o := object(ns, "held")
	o.Finalizers = []string{"example.test/wait"}
	create(t, a.live, o)
	made, err := b.Lookup(t.Context(), ns, "held")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Delete(t.Context(), home, made.ID, none); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "it is not looked up any more", func() error {
		if got, err := b.Lookup(t.Context(), ns, "held"); identity.KindOf(err) != identity.NotFound || err == nil {
			return fmt.Errorf("%+v, %w", got, err)
		}
		return nil
	})
	if found, err := a.Find(t.Context(), rules.Query{Cluster: home, Namespace: ns, Limit: 1000}); err != nil {
		t.Error(err)
	} else {
		for _, x := range found {
			if x.ID == made.ID {
				t.Error("it is listed")
			}
		}
	}
	_, err = a.Create(t.Context(), wanted(ns, "held"), rules.Once{}, unlimited)
	wantKind(t, err, identity.Throttled)
	patch := client.MergeFrom(o.DeepCopy())
	o.Finalizers = nil
	if err := a.live.Patch(t.Context(), o, patch); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Create(t.Context(), wanted(ns, "held"), rules.Once{}, unlimited); err != nil {
		t.Error(err)
	}
}

// triesMadeAgain: an id is of one object, not of a name.
func triesMadeAgain(t *testing.T, a, b *replica, ns string) {
	first, err := a.Create(t.Context(), wanted(ns, "again"), rules.Once{}, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Delete(t.Context(), home, first.ID, none); err != nil {
		t.Fatal(err)
	}
	second, err := b.Create(t.Context(), wanted(ns, "again"), rules.Once{}, unlimited)
	if err != nil || second.ID == first.ID {
		t.Fatalf("%+v, %v", second, err)
	}
	for _, r := range []*replica{a, b} {
		_, err := r.Update(t.Context(), home, first.ID, rules.Once{}, func(*identity.Association) error { t.Error("edited"); return nil })
		wantKind(t, err, identity.NotFound)
		_, err = r.Delete(t.Context(), home, first.ID, none)
		wantKind(t, err, identity.NotFound)
	}
}

// triesRevoked: each revocation makes another version.
func triesRevoked(t *testing.T, a, b *replica, ns string) {
	made, err := a.Create(t.Context(), wanted(ns, "revoked"), rules.Once{}, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{made.Version(): true}
	before := time.Time{}
	for range 5 {
		now := time.Now()
		got, err := b.Update(t.Context(), home, made.ID, rules.Once{}, func(x *identity.Association) error { x.RevokedAt = now; return nil })
		if err != nil || got.RevokedAt.Before(now) || !got.RevokedAt.After(before) || seen[got.Version()] {
			t.Fatalf("%v, %v", got.RevokedAt, err)
		}
		seen[got.Version()], before = true, got.RevokedAt
	}
}

// triesSequence: whoever waits for what another replica saw, sees it.
func triesSequence(t *testing.T, a, b *replica, ns string) {
	for i := range 50 {
		made, err := a.Create(t.Context(), wanted(ns, fmt.Sprint("sequence", i)), rules.Once{}, unlimited)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.WaitFor(t.Context(), a.Sequence()); err != nil {
			t.Fatal(err)
		}
		if got, known := b.Known(ns, made.ServiceAccount); !known || got.ID != made.ID {
			t.Fatalf("%d: the informer has %+v", i, got)
		}
		if b.Sequence() < a.Sequence() {
			within(t, time.Second, "the sequence", func() error {
				if b.Sequence() < a.Sequence() {
					return fmt.Errorf("%d and %d", b.Sequence(), a.Sequence())
				}
				return nil
			})
		}
	}
}
