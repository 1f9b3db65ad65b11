package certificate

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

var (
	start   = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	ordered = rules{
		names:             []string{"podid.podid-system.svc", "127.0.0.1"},
		authorityLifetime: 200 * time.Hour, leafLifetime: 30 * time.Hour, spread: time.Hour, skew: 5 * time.Minute,
	}
)

func next(t *testing.T, s state, r rules, now time.Time) (state, bool) {
	t.Helper()
	s, changed, err := s.next(r, now)
	if err != nil {
		t.Fatal(err)
	}
	return s, changed
}

// trusts tells whether whoever trusts bundle takes s's leaf for every name.
func trusts(bundle []byte, s state, names []string, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	for _, name := range names {
		if _, err := s.leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			return err
		}
	}
	return nil
}

// TestRotationFailsNobody goes through several authorities, one look every
// quarter of an hour. Clients know the authorities of up to an hour ago, and
// replicas serve what they saw up to an hour ago.
func TestRotationFailsNobody(t *testing.T) {
	s, changed := next(t, state{}, ordered, start)
	if !changed {
		t.Fatal("nothing was made of nothing")
	}
	history := []state{s}
	leaves, authorities := map[string]bool{}, map[string]bool{}
	for now := start; now.Before(start.Add(1000 * time.Hour)); now = now.Add(15 * time.Minute) {
		before := s
		s, changed = next(t, s, ordered, now)
		if again, twice := next(t, s, ordered, now); twice || string(again.bundle()) != string(s.bundle()) {
			t.Fatalf("%v: a second look finds more to do", now)
		}
		if !changed && (string(s.bundle()) != string(before.bundle()) || s.leaf != before.leaf) {
			t.Fatalf("%v: changed and did not say so", now)
		}
		leaves[s.leaf.Leaf.SerialNumber.String()] = true
		authorities[s.authorities[0].SerialNumber.String()] = true
		history = append(history, s)
		if lately := history[max(0, len(history)-5)]; lately.leaf == s.leaf && len(lately.authorities) == len(s.authorities) {
			continue
		}
		for _, old := range history[max(0, len(history)-5):] {
			if err := trusts(old.bundle(), s, ordered.names, now); err != nil {
				t.Fatalf("%v: a client that is behind: %v", now, err)
			}
			if err := trusts(s.bundle(), old, ordered.names, now); err != nil {
				t.Fatalf("%v: a replica that is behind: %v", now, err)
			}
		}
		if n := len(s.authorities); n > 2 {
			t.Fatalf("%v: %d authorities", now, n)
		}
	}
	if len(leaves) < 30 || len(authorities) < 4 {
		t.Errorf("only %d certificates of %d authorities", len(leaves), len(authorities))
	}
}

func TestStateSurvivesTheSecret(t *testing.T) {
	s, _ := next(t, state{}, ordered, start)
	data, err := s.data()
	if err != nil {
		t.Fatal(err)
	}
	read, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, changed := next(t, read, ordered, start.Add(time.Hour)); changed {
		t.Error("what was read back is not good enough")
	}
	if err := trusts(s.bundle(), read, ordered.names, start); err != nil {
		t.Error(err)
	}
}

func TestANewNameIsCertifiedAtOnce(t *testing.T) {
	s, _ := next(t, state{}, ordered, start)
	more := ordered
	more.names = append(slices.Clone(ordered.names), "podid.example.com")
	renewed, changed := next(t, s, more, start.Add(time.Minute))
	if !changed || trusts(s.bundle(), renewed, more.names, start.Add(time.Minute)) != nil {
		t.Error("the new name is not certified by the authority that is known")
	}
}

func TestAfterALongSleepEverythingIsMadeAnew(t *testing.T) {
	s, _ := next(t, state{}, ordered, start)
	late := start.Add(2000 * time.Hour)
	s, changed := next(t, s, ordered, late)
	if !changed || len(s.authorities) != 1 || trusts(s.bundle(), s, ordered.names, late) != nil {
		t.Errorf("%d authorities, changed %v", len(s.authorities), changed)
	}
}

func TestBrokenSecretsAreRefused(t *testing.T) {
	s, _ := next(t, state{}, ordered, start)
	other, _ := next(t, state{}, ordered, start)
	for name, change := range map[string]func(map[string][]byte){
		"no authority":            func(d map[string][]byte) { delete(d, fieldCA) },
		"garbage":                 func(d map[string][]byte) { d[fieldCA] = []byte("garbage") },
		"no key":                  func(d map[string][]byte) { delete(d, fieldCAKey) },
		"another authority's key": func(d map[string][]byte) { d[fieldCAKey] = must(t, other)[fieldCAKey] },
		"another leaf's key":      func(d map[string][]byte) { d[fieldLeafKey] = must(t, other)[fieldLeafKey] },
		"a leaf for an authority": func(d map[string][]byte) { d[fieldCA], d[fieldCAKey] = d[fieldLeaf], d[fieldLeafKey] },
		"no leaf":                 func(d map[string][]byte) { delete(d, fieldLeaf) },
	} {
		data := must(t, s)
		change(data)
		if _, err := parse(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func must(t *testing.T, s state) map[string][]byte {
	t.Helper()
	data, err := s.data()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzParse(f *testing.F) {
	s, _, err := state{}.next(ordered, start)
	if err != nil {
		f.Fatal(err)
	}
	data, err := s.data()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[fieldCA], data[fieldCAKey], data[fieldLeaf], data[fieldLeafKey])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"), []byte{}, []byte{1}, []byte{})
	f.Fuzz(func(t *testing.T, ca, caKey, leaf, leafKey []byte) {
		s, err := parse(map[string][]byte{fieldCA: ca, fieldCAKey: caKey, fieldLeaf: leaf, fieldLeafKey: leafKey})
		if err == nil && len(ca)+len(leaf) > 0 && (s.key == nil || s.leaf == nil || s.leaf.Leaf == nil) {
			t.Errorf("accepted, and yet incomplete: %+v", s)
		}
	})
}
