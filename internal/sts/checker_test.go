package sts_test

import (
	"strings"
	"testing"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/sts"
)

var _ association.Roles = (*sts.Checker)(nil)

const (
	// AWS's words come first.
	trustSays = "Trust policy of the role provided is invalid. Follow the official documentation to resolve the issue."
	trustText = trustSays + " sts:AssumeRole or sts:TagSession was refused on " + roleARN + ", for service account default/app of " + clusterID +
		": podid explain -n default -s app says what is in the way."
	missingSays = "Role provided in the request does not exist"
	missingText = missingSays + ": there is no " + roleARN + "."
)

var asked = identity.Association{Cluster: cluster, Namespace: "default", ServiceAccount: "app", RoleARN: roleARN}

func check(t *testing.T, server *canned, hop sts.FirstHop, a identity.Association) error {
	t.Helper()
	c, err := sts.NewChecker(configFor(server.url, hop))
	if err != nil {
		t.Fatal(err)
	}
	return c.Check(t.Context(), a)
}

func TestCheckTriesWhatAPodWillDo(t *testing.T) {
	server := serve(t, map[string]answer{"AssumeRole": {200, granted}})
	if err := check(t, server, sts.Service, asked); err != nil {
		t.Fatal(err)
	}
	form := server.of("AssumeRole")[0].form
	for key, want := range map[string]string{
		"RoleArn": roleARN, "DurationSeconds": "900",
		"Tags.member.1.Key": "eks-cluster-arn", "Tags.member.1.Value": clusterID,
		"Tags.member.2.Key": "eks-cluster-name", "Tags.member.2.Value": "example-cluster",
		"Tags.member.3.Key": "kubernetes-namespace", "Tags.member.3.Value": "default",
		"Tags.member.4.Key": "kubernetes-service-account", "Tags.member.4.Value": "app",
		"Tags.member.5.Key": "kubernetes-pod-name", "Tags.member.5.Value": "app-0",
		"Tags.member.6.Key": "kubernetes-pod-uid", "TransitiveTagKeys.member.6": "kubernetes-pod-uid",
	} {
		if got := form.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if uid := form.Get("Tags.member.6.Value"); len(uid) != 36 {
		t.Errorf("pod uid %q", uid)
	}
	if name := form.Get("RoleSessionName"); !strings.HasPrefix(name, "eks-example-cl-app-0-") {
		t.Errorf("session name %q", name)
	}
}

func TestCheckWithoutTagsTriesThePolicy(t *testing.T) {
	server := serve(t, map[string]answer{"AssumeRole": {200, granted}})
	a := asked
	a.DisableSessionTags, a.TargetRoleARN, a.Policy = true, targetARN, "{}"
	if err := check(t, server, sts.Service, a); err != nil {
		t.Fatal(err)
	}
	form := server.of("AssumeRole")[0].form
	if form.Has("Tags.member.1.Key") || form.Get("Policy") != "{}" || form.Get("RoleArn") != roleARN {
		t.Errorf("sent %v", form)
	}
}

func TestCheckRefuses(t *testing.T) {
	denied := failure(403, "AccessDenied", "no")
	role := func(arn string) answer {
		return answer{200, "<GetRoleResponse><GetRoleResult><Role><Path>/eks/</Path><RoleName>pod-identity</RoleName><RoleId>AROAX</RoleId><Arn>" + arn +
			"</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role></GetRoleResult></GetRoleResponse>"}
	}
	whoami := func(account string) answer {
		return answer{200, "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>" + account +
			"</Account><Arn>arn:x</Arn><UserId>x</UserId></GetCallerIdentityResult></GetCallerIdentityResponse>"}
	}
	noSuchRole := failure(404, "NoSuchEntity", "The role with name pod-identity cannot be found.")
	for _, test := range []struct {
		name    string
		as      sts.FirstHop
		answers map[string]answer
		kind    identity.Kind
		message string
	}{
		{"role is missing", sts.Service, map[string]answer{"AssumeRole": denied, "GetRole": noSuchRole}, identity.InvalidParameter, missingText},
		{"role has another path", sts.Service, map[string]answer{"AssumeRole": denied, "GetRole": role("arn:aws:iam::111122223333:role/pod-identity")},
			identity.InvalidParameter, missingText},
		{"role does not trust", sts.Service, map[string]answer{"AssumeRole": denied, "GetRole": role(roleARN)}, identity.InvalidParameter, trustText},
		{"podid may not look", sts.Service, map[string]answer{"AssumeRole": denied, "GetRole": denied}, identity.InvalidParameter, trustText},
		{"identity in the role's account", sts.Identity, map[string]answer{"AssumeRole": denied, "GetCallerIdentity": whoami("111122223333"), "GetRole": noSuchRole},
			identity.InvalidParameter, missingText},
		{"identity in another account", sts.Identity, map[string]answer{"AssumeRole": denied, "GetCallerIdentity": whoami("999988887777")},
			identity.InvalidParameter, trustText},
		{"policy is malformed", sts.Service, map[string]answer{"AssumeRole": failure(400, "MalformedPolicyDocument", "syntax")},
			identity.InvalidParameter, "MalformedPolicyDocument: syntax"},
		{"AWS throttles", sts.Service, map[string]answer{"AssumeRole": failure(400, "Throttling", "slow down")},
			identity.Throttled, "AWS STS throttles the request."},
		{"podid's key is wrong", sts.Service, map[string]answer{"AssumeRole": failure(403, "InvalidClientTokenId", "who?")},
			identity.Internal, "An internal error occurred."},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := serve(t, test.answers)
			err := check(t, server, test.as, asked)
			if identity.KindOf(err) != test.kind || identity.SafeMessage(err) != test.message {
				t.Errorf("got %v: %s (%v)", identity.KindOf(err), identity.SafeMessage(err), err)
			}
			for _, c := range server.of("GetRole") {
				service := c.header.Get("X-Amz-Source-Account") == "111122223333"
				if c.form.Get("RoleName") != "pod-identity" || service != (test.as == sts.Service) {
					t.Errorf("asked IAM for %q; on behalf of the cluster: %v", c.form.Get("RoleName"), service)
				}
			}
		})
	}
}
