package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestSecretsRedactThemselves prints credentials in every ordinary way.
func TestSecretsRedactThemselves(t *testing.T) {
	const secret = "wJalrXUtnFEMI"
	c := Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: secret, SessionToken: secret, Expires: time.Now()}
	s := Session{Credentials: c}
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
		for _, v := range []any{c, &c, s, c.SecretAccessKey, []Secret{c.SessionToken}, map[Secret]Secret{secret: secret}} {
			fmt.Fprintf(&printed, verb+"\n", v)
		}
	}
	for _, v := range []any{c, s, map[string]any{"c": c}, []Secret{secret}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(text)
	}
	var logged bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Info("m", "c", c, "s", s, "secret", c.SecretAccessKey)
	}
	all := printed.String() + logged.String()
	if strings.Contains(all, secret) || strings.Contains(all, fmt.Sprintf("%x", secret)) || strings.Contains(all, fmt.Sprintf("%X", secret)) {
		t.Errorf("a secret was printed:\n%s", all)
	}
	if c.SecretAccessKey.Reveal() != secret {
		t.Error("Reveal does not")
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk on fire at 10.0.0.7")
	err := fmt.Errorf("creating: %w", Errorf(Unavailable, "Try again later.").Because(cause))
	if KindOf(err) != Unavailable || SafeMessage(err) != "Try again later." || !errors.Is(err, cause) {
		t.Errorf("kind %v, message %q", KindOf(err), SafeMessage(err))
	}
	for _, internal := range []error{cause, Errorf(Internal, "disk on fire")} {
		if KindOf(internal) != Internal || strings.Contains(SafeMessage(internal), "disk") {
			t.Errorf("%v is shown as %q", internal, SafeMessage(internal))
		}
	}
}

func TestAssociationNames(t *testing.T) {
	a := Association{ID: "a-abcdefghijklmnop1", Cluster: Cluster{"c", "cn-north-1", "111122223333"}, Namespace: "n", ServiceAccount: "s", TargetRoleARN: "x"}
	if got, want := a.ARN(), "arn:aws-cn:eks:cn-north-1:111122223333:podidentityassociation/c/a-abcdefghijklmnop1"; got != want {
		t.Errorf("ARN %s, want %s", got, want)
	}
	if got, want := a.ExternalID(), "cn-north-1/111122223333/c/n/s"; got != want {
		t.Errorf("external ID %s, want %s", got, want)
	}
	a.TargetRoleARN = ""
	if a.ExternalID() != "" {
		t.Error("an association without a target role has an external ID")
	}
}

// TestVersion: whatever credentials depend on changes it, and nothing else does.
func TestVersion(t *testing.T) {
	plain := Association{ID: "a-abcdefghijklmnop1", Cluster: Cluster{"c", "us-west-2", "111122223333"}, Namespace: "n", ServiceAccount: "s", RoleARN: "r"}
	seen := map[string]string{plain.Version(): "nothing"}
	revoked := time.Unix(1_700_000_000, 0)
	for what, change := range map[string]func(*Association){
		"id": func(a *Association) { a.ID = "a-abcdefghijklmnop2" }, "role": func(a *Association) { a.RoleARN = "other" },
		"target": func(a *Association) { a.TargetRoleARN = "t" }, "policy": func(a *Association) { a.Policy = "t" },
		"quotes": func(a *Association) { a.TargetRoleARN = `" "t` },
		"tags":   func(a *Association) { a.DisableSessionTags = true }, "revoked": func(a *Association) { a.RevokedAt = revoked },
		"revoked again": func(a *Association) { a.RevokedAt = revoked.Add(time.Second) },
	} {
		a := plain
		change(&a)
		if before, taken := seen[a.Version()]; taken || len(a.Version()) != 16 {
			t.Errorf("the version %s of changing %s is that of changing %s", a.Version(), what, before)
		}
		seen[a.Version()] = what
	}
	same := plain
	same.Tags, same.OwnerARN, same.ModifiedAt = map[string]string{"k": "v"}, "o", revoked
	if same.Version() != plain.Version() {
		t.Error("what no credentials depend on changes the version")
	}
	plain.RevokedAt, same.RevokedAt = revoked, revoked.UTC()
	if same.Version() != plain.Version() {
		t.Error("the place of a time changes the version")
	}
}

func TestParseRoleARN(t *testing.T) {
	for arn, name := range map[string]string{
		"arn:aws:iam::111122223333:role/r":            "r",
		"arn:aws-us-gov:iam::111122223333:role/a/b/r": "r",
		"arn:aws:iam::111122223333:role/a+b=c,d.e@f-": "a+b=c,d.e@f-",
	} {
		if a, err := ParseRoleARN(arn); err != nil || a.RoleName() != name {
			t.Errorf("%s: %q, %v", arn, a.RoleName(), err)
		}
	}
	for _, arn := range []string{
		"", "arn", "arn:aws:iam::111122223333:user/r", "arn:aws:iam::1111:role/r", "arn:aws:iam:us-west-2:111122223333:role/r",
		"arn:aws:sts::111122223333:role/r", "arn:aws:iam::111122223333:role/", "arn:aws:iam::111122223333:role/a b",
		"arn:aws:iam::111122223333:role/r\n", "arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:role/" + strings.Repeat("r", 65),
		"arn:aws:iam::111122223333:role/" + strings.Repeat("p/", 1100) + "r",
	} {
		if _, err := ParseRoleARN(arn); err == nil {
			t.Errorf("%.80q is taken for the ARN of a role", arn)
		}
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:iam::111122223333:role/a/b")
	f.Add("arn:aws:s3:::bucket/key:with:colons")
	f.Add("arn:::::")
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseARN(s); err == nil && a.String() != s {
			t.Errorf("%q became %q", s, a.String())
		}
		if a, err := ParseRoleARN(s); err == nil && (!IsAccountID(a.AccountID) || a.RoleName() == "") {
			t.Errorf("%q is taken for a role's ARN", s)
		}
	})
}
