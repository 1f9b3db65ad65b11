package awssim

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// sixTags are the tags of EKS Pod Identity, all of them transitive.
func sixTags() (tags []types.Tag, keys []string) {
	for _, t := range [][2]string{
		{"eks-cluster-arn", clusterARN}, {"eks-cluster-name", "example-cluster"}, {"kubernetes-namespace", "ExampleNameSpace"},
		{"kubernetes-service-account", "ExampleServiceAccountName"}, {"kubernetes-pod-name", "pod-1"},
		{"kubernetes-pod-uid", "d1b2e6a0-5f3c-4b8e-9f57-3c8b6a1d2e4f"},
	} {
		tags = append(tags, types.Tag{Key: &t[0], Value: &t[1]})
		keys = append(keys, t[0])
	}
	return tags, keys
}

// firstHop assumes the Pod Identity role as the service does.
func (f *fixture) firstHop(tagged bool) *sts.AssumeRoleOutput {
	f.Helper()
	in := sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN), RoleSessionName: aws.String("eks-one"), DurationSeconds: aws.Int32(21600)}
	if tagged {
		in.Tags, in.TransitiveTagKeys = sixTags()
	}
	return f.assume(f.service(), in)
}

const podSession = "arn:aws:sts::111122223333:assumed-role/pod-role/eks-one"

// formA and formB are the two trust policies of
// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html.
const (
	formA = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},
  "Action":["sts:AssumeRole","sts:TagSession"],
  "Condition":{"StringEquals":{
      "aws:RequestTag/eks-cluster-arn":"arn:aws:eks:us-west-2:111122223333:cluster/example-cluster",
      "aws:RequestTag/kubernetes-namespace":"ExampleNameSpace",
      "aws:RequestTag/kubernetes-service-account":"ExampleServiceAccountName"},
    "ArnEquals":{"aws:PrincipalARN":"arn:aws:iam::111122223333:role/eks/pod-role"}}}]}`
	externalID = "us-west-2/111122223333/example-cluster/ExampleNameSpace/ExampleServiceAccountName"
	formB      = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole",
  "Condition":{"StringEquals":{"sts:ExternalId":"` + externalID + `"},
               "ArnEquals":{"aws:PrincipalARN":"arn:aws:iam::111122223333:role/eks/pod-role"}}},
 {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:TagSession"}]}`
)

func TestGuideFormWithTags(t *testing.T) {
	f := start(t, guideWorld(formA))
	hop1 := f.firstHop(true)
	if n := aws.ToInt32(hop1.PackedPolicySize); n < 50 || n > 75 {
		t.Errorf("six tags take %d%% of the packed size; AWS's samples show 55 to 74", n)
	}
	hop2 := f.assume(f.as(hop1), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), ExternalId: aws.String(externalID), RoleSessionName: aws.String("eks-two")})
	who, err := f.as(hop2).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *who.Arn != "arn:aws:sts::444455556666:assumed-role/target/eks-two" || *who.Account != targetAccount ||
		*who.UserId != *hop2.AssumedRoleUser.AssumedRoleId || *who.Arn != *hop2.AssumedRoleUser.Arn {
		t.Errorf("the second session is %s %s %s", *who.Arn, *who.Account, *who.UserId)
	}
	// The reasons are kept: the second hop's TagSession saw inherited tags as requested ones.
	log := f.decisions("1")
	if d := log[len(log)-1]; d.Action != "sts:TagSession" || d.Verdict != "allowed" || d.Caller != podSession ||
		d.Context["aws:requesttag/kubernetes-namespace"][0] != "ExampleNameSpace" || len(d.Context["aws:tagkeys"]) != 6 ||
		d.Context["aws:principaltag/kubernetes-pod-name"][0] != "pod-1" || d.Context["aws:principaltag/stage"][0] != "test" ||
		d.Context["aws:principalarn"][0] != podRoleARN || len(d.Context["sts:transitivetagkeys"]) != 6 {
		t.Errorf("the last decision is %+v", d)
	}

	t.Run("the session has no tags", func(t *testing.T) {
		f := &fixture{t, f.sim, f.url, f.offset}
		f.deny(f.as(f.firstHop(false)), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}, podSession, "sts:AssumeRole")
	})
	t.Run("another namespace", func(t *testing.T) {
		f := &fixture{t, f.sim, f.url, f.offset}
		in := sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN), RoleSessionName: aws.String("eks-one")}
		in.Tags, in.TransitiveTagKeys = sixTags()
		in.Tags[2].Value = aws.String("other")
		f.deny(f.as(f.assume(f.service(), in)), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}, podSession, "sts:AssumeRole")
	})
	t.Run("tags that are not transitive stay behind", func(t *testing.T) {
		f := &fixture{t, f.sim, f.url, f.offset}
		in := sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN), RoleSessionName: aws.String("eks-one")}
		in.Tags, _ = sixTags()
		f.deny(f.as(f.assume(f.service(), in)), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}, podSession, "sts:AssumeRole")
	})
	t.Run("another role of the account", func(t *testing.T) {
		f := &fixture{t, f.sim, f.url, f.offset}
		tags, _ := sixTags()
		f.deny(f.alice(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), Tags: tags}, "arn:aws:iam::111122223333:user/alice", "sts:AssumeRole")
	})
}

func TestGuideFormWithExternalID(t *testing.T) {
	f := start(t, guideWorld(formB))
	hop1 := f.firstHop(false)
	if hop1.PackedPolicySize != nil {
		t.Errorf("packed size %d of nothing", *hop1.PackedPolicySize)
	}
	target := func(id string) sts.AssumeRoleInput {
		in := sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}
		if id != "" {
			in.ExternalId = aws.String(id)
		}
		return in
	}
	f.assume(f.as(hop1), target(externalID))
	f.deny(f.as(hop1), target(externalID+"x"), podSession, "sts:AssumeRole")
	f.deny(f.as(hop1), target(strings.ToLower(externalID)), podSession, "sts:AssumeRole")
	f.deny(f.as(hop1), target(""), podSession, "sts:AssumeRole")
	f.assume(f.as(f.firstHop(true)), target(externalID)) // tags on: the second statement lets them in
}

// Inheriting tags needs sts:TagSession of both sides, and the denial names it.
func TestInheritedTagsNeedTagSession(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), `"sts:AssumeRole"`, "")))
	target := sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}
	f.assume(f.as(f.firstHop(false)), target)
	f.deny(f.as(f.firstHop(true)), target, podSession, "sts:TagSession")

	f = start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, "")))
	f.assume(f.as(f.firstHop(true)), target)
	f.change(podRoleARN, func(r *role) {
		r.Inline = map[string]document{"assume": f.identityPolicy(strings.Replace(mayAssume, `"sts:TagSession",`, "", 1))}
	})
	f.deny(f.as(f.firstHop(true)), target, podSession, "sts:TagSession")
	f.assume(f.as(f.firstHop(false)), target)
}

func TestTagRules(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, "")))
	tag := func(pairs ...string) (tags []types.Tag) {
		for i := 0; i < len(pairs); i += 2 {
			tags = append(tags, types.Tag{Key: aws.String(pairs[i]), Value: aws.String(pairs[i+1])})
		}
		return tags
	}
	with := func(tags []types.Tag, transitive ...string) sts.AssumeRoleInput {
		return sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), Tags: tags, TransitiveTagKeys: transitive}
	}
	const (
		duplicate = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
		notPassed = "The specified transitive tag key must be included in the requested tags."
		conflict  = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session."
	)
	invalid := "InvalidParameterValue"
	f.refuse(f.alice(), with(tag("a", "1", "A", "2")), invalid, 400, duplicate)
	f.refuse(f.alice(), with(tag("a", "1"), "b"), invalid, 400, notPassed)
	f.refuse(f.alice(), with(nil, "b"), invalid, 400, notPassed)
	f.refuse(f.alice(), with(tag("aws:x", "1")), invalid, 400, "aws: prefixed tag key names are not allowed for external use.")
	f.assume(f.alice(), with(tag("a", "1"), "A"))

	hop1 := f.as(f.firstHop(true))
	f.refuse(hop1, with(tag("Kubernetes-Namespace", "mine")), invalid, 400, conflict)
	f.refuse(hop1, with(nil, "kubernetes-namespace"), invalid, 400, conflict)

	// What is inherited stays transitive; what is passed is not, unless it says so.
	f.change(targetRoleARN, func(r *role) {
		r.Inline = map[string]document{"assume": f.identityPolicy(mayAssume)}
		r.Trust = f.trustPolicy(trust(`{"AWS":["`+clusterAccount+`","`+targetAccount+`"]}`, assumeAndTag, ""))
	})
	hop2 := f.as(f.assume(hop1, with(tag("own", "1", "handed-on", "2"), "handed-on")))
	f.refuse(hop2, with(tag("eks-cluster-name", "mine")), invalid, 400, conflict)
	f.refuse(hop2, with(tag("HANDED-ON", "mine")), invalid, 400, conflict)
	f.assume(hop2, with(tag("own", "3")))
	d := f.decisions("1")[0]
	if got := d.Context["aws:requesttag/own"]; len(got) != 1 || got[0] != "3" {
		t.Errorf("aws:RequestTag/own is %v", got)
	}
	if got := d.Context["aws:principaltag/own"]; len(got) != 1 || got[0] != "1" {
		t.Errorf("aws:PrincipalTag/own is %v", got)
	}
	if got := d.Context["sts:transitivetagkeys"]; len(got) != 7 {
		t.Errorf("sts:TransitiveTagKeys is %v", got)
	}

	// A transitive tag stands in for the role's own of the same key.
	f.change(targetRoleARN, func(r *role) {
		r.Tags = []tagOf{{Key: "Eks-Cluster-Name", Value: "role's"}}
		r.Trust = f.trustPolicy(trust(rootOf(clusterAccount), assumeAndTag, `{"StringEquals":{"aws:ResourceTag/eks-cluster-name":"example-cluster"}}`))
	})
	f.assume(hop1, with(nil))
	f.deny(f.alice(), with(nil), "arn:aws:iam::111122223333:user/alice", "sts:AssumeRole")
	f.change(targetRoleARN, func(r *role) { r.Tags = nil }) // but gives it none that it has not
	f.deny(hop1, with(nil), podSession, "sts:AssumeRole")
}

// A session's tag beats its role's, whatever the case of the key.
func TestSessionTagsBeatRoleTags(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, `{"StringEquals":{"aws:PrincipalTag/stage":"session"}}`)))
	target := sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}
	f.deny(f.as(f.firstHop(false)), target, podSession, "sts:AssumeRole")
	tagged := f.assume(f.service(), sts.AssumeRoleInput{
		RoleArn: aws.String(podRoleARN), Tags: []types.Tag{{Key: aws.String("STAGE"), Value: aws.String("session")}},
	})
	f.assume(f.as(tagged), target)
}

func TestDurations(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, "")))
	target := func(seconds int32) sts.AssumeRoleInput {
		return sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), DurationSeconds: aws.Int32(seconds)}
	}
	const (
		chained = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
		longest = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
	)
	hop1 := f.as(f.firstHop(false)) // 6 hours of a role of 1 hour: a service is not bound
	f.refuse(hop1, target(3601), "ValidationError", 400, chained)
	f.refuse(hop1, target(43201), "ValidationError", 400,
		"1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200")
	f.refuse(hop1, target(899), "ValidationError", 400,
		"1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900")
	f.assume(hop1, target(3600))
	long := f.assume(f.alice(), target(43200)) // 12 hours of a role of 12 hours, not chained
	if long.Credentials.Expiration.IsZero() {
		t.Error("no expiration")
	}
	f.change(targetRoleARN, func(r *role) { r.MaxSession = 3600e9 })
	f.refuse(hop1, target(3601), "ValidationError", 400, longest)
	f.refuse(f.alice(), target(3601), "ValidationError", 400, longest)
	// Who may not assume the role does not learn its limits.
	f.change(targetRoleARN, func(r *role) { r.Trust = f.trustPolicy(trustService) })
	f.deny(hop1, target(3601), podSession, "sts:AssumeRole")
}

func TestParametersAreChecked(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, "")))
	refuse := func(in sts.AssumeRoleInput, text string) {
		t.Helper()
		if in.RoleArn == nil {
			in.RoleArn = aws.String(targetRoleARN)
		}
		f.refuse(f.alice(), in, "ValidationError", 400, text)
	}
	one := "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must %s"
	broken := func(value, at, rule string) string {
		return strings.NewReplacer("'%s' at '%s'", "'"+value+"' at '"+at+"'", "must %s", "must "+rule).Replace(one)
	}
	pattern := `satisfy regular expression pattern: [\w+=,.@-]*`
	refuse(sts.AssumeRoleInput{RoleSessionName: aws.String("a b")}, broken("a b", "roleSessionName", pattern))
	refuse(sts.AssumeRoleInput{RoleSessionName: aws.String("a\n")}, broken("a\n", "roleSessionName", pattern))
	refuse(sts.AssumeRoleInput{RoleSessionName: aws.String("a")}, broken("a", "roleSessionName", "have length greater than or equal to 2"))
	refuse(sts.AssumeRoleInput{RoleSessionName: aws.String(strings.Repeat("a", 65))},
		broken(strings.Repeat("a", 65), "roleSessionName", "have length less than or equal to 64"))
	refuse(sts.AssumeRoleInput{ExternalId: aws.String("x")}, broken("x", "externalId", "have length greater than or equal to 2"))
	refuse(sts.AssumeRoleInput{ExternalId: aws.String("x*")}, broken("x*", "externalId", `satisfy regular expression pattern: [\w+=,.@:\/-]*`))
	refuse(sts.AssumeRoleInput{SourceIdentity: aws.String("x y")}, broken("x y", "sourceIdentity", pattern))
	refuse(sts.AssumeRoleInput{Tags: []types.Tag{{Key: aws.String("a*"), Value: aws.String("")}}},
		broken("a*", "tags.1.member.key", `satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+`))
	refuse(sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::444455556666:user/target")}, "arn:aws:iam::444455556666:user/target is invalid")
	refuse(sts.AssumeRoleInput{RoleArn: aws.String("x"), RoleSessionName: aws.String("")},
		"2 validation errors detected: Value 'x' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20; "+
			"Value '' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2")
	f.assume(f.alice(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), ExternalId: aws.String(strings.Repeat("x", 1224))})
	f.refuse(f.alice(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), Policy: aws.String(`{"Version":"2012-10-17"`)},
		"MalformedPolicyDocument", 400, "This policy contains invalid Json: expected ',' or '}'")
	f.refuse(f.alice(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), SerialNumber: aws.String("arn:aws:iam::111122223333:mfa/a"), TokenCode: aws.String("123456")},
		"AccessDenied", 403, "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.")
	var tags []types.Tag
	for i := range 50 {
		v := strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat(string(rune('A'+i%13)), i)
		tags = append(tags, types.Tag{Key: aws.String("key-" + v), Value: aws.String(newUniqueID("") + newUniqueID("") + v)})
	}
	_, err := f.alice().AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), RoleSessionName: aws.String("ab"), Tags: tags})
	if err == nil || !strings.Contains(err.Error(), "PackedPolicyTooLarge") || !strings.Contains(err.Error(), "% of allotted space") {
		t.Errorf("fifty long tags: %v", err)
	}
}

func TestSourceIdentity(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, `{"StringEquals":{"sts:SourceIdentity":"carol"}}`)))
	f.change(podRoleARN, func(r *role) { r.Trust = f.trustPolicy(trust(rootOf(clusterAccount), assumeAndTag, "")) })
	in := sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN), RoleSessionName: aws.String("eks-one"), SourceIdentity: aws.String("carol")}
	out := f.assume(f.alice(), in)
	if aws.ToString(out.SourceIdentity) != "carol" {
		t.Errorf("source identity %q", aws.ToString(out.SourceIdentity))
	}
	target := sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}
	if again := f.assume(f.as(out), target); aws.ToString(again.SourceIdentity) != "carol" {
		t.Errorf("the second hop's source identity is %q", aws.ToString(again.SourceIdentity))
	}
	target.SourceIdentity = aws.String("carol")
	f.assume(f.as(out), target)
	target.SourceIdentity = aws.String("dave")
	f.refuse(f.as(out), target, "ValidationError", 400, "The source identity is already set for this assume role session")

	target.SourceIdentity = nil
	f.change(targetRoleARN, func(r *role) { r.Trust = f.trustPolicy(trust(rootOf(clusterAccount), `"sts:AssumeRole"`, "")) })
	f.deny(f.as(out), target, podSession, "sts:SetSourceIdentity")
}

func TestWhoSideDenies(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, "")))
	hop1 := f.as(f.firstHop(false))
	target := sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}
	f.assume(hop1, target)
	const user = "arn:aws:iam::111122223333:user/alice"

	// A role that is not there, a caller who may not, a trust that does not: one text.
	f.deny(hop1, sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN + "-gone")}, podSession, "sts:AssumeRole")
	f.deny(hop1, sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::999900001111:role/target")}, podSession, "sts:AssumeRole")
	f.deny(hop1, sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::444455556666:role/Target")}, podSession, "sts:AssumeRole")
	f.change(podRoleARN, func(r *role) { r.Inline = nil })
	f.deny(hop1, target, podSession, "sts:AssumeRole") // the session follows its role's policies at once
	f.change(podRoleARN, func(r *role) { r.Inline = map[string]document{"assume": f.identityPolicy(mayAssume)} })
	f.assume(hop1, target)
	f.change(targetRoleARN, func(r *role) { r.Trust = f.trustPolicy(trustService) })
	f.deny(hop1, target, podSession, "sts:AssumeRole")
	f.deny(f.alice(), target, user, "sts:AssumeRole")

	// In the decision log, on loopback, the reasons differ.
	f.deny(f.alice(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN + "-gone")}, user, "sts:AssumeRole")
	if d := f.decisions("1")[0]; d.Stage != "no such resource" || d.Verdict != "implicit deny" {
		t.Errorf("a missing role is logged as %s at %s", d.Verdict, d.Stage)
	}

	// Same account: naming the role is enough, naming the account is not, and an explicit deny always wins.
	f.change(podRoleARN, func(r *role) {
		r.Inline = nil
		r.Trust = f.trustPolicy(trust(`{"AWS":"`+podRoleARN+`","Service":"pods.eks.amazonaws.com"}`, assumeAndTag, ""))
	})
	hop1 = f.as(f.firstHop(false))
	self := sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN)}
	f.assume(hop1, self)
	f.change(podRoleARN, func(r *role) {
		r.Inline = map[string]document{"no": f.identityPolicy(strings.Replace(mayAssume, "Allow", "Deny", 1))}
	})
	f.deny(hop1, self, podSession, "sts:AssumeRole")
	f.change(podRoleARN, func(r *role) {
		r.Inline, r.Trust = nil, f.trustPolicy(trust(`{"AWS":"111122223333","Service":"pods.eks.amazonaws.com"}`, assumeAndTag, ""))
	})
	f.deny(hop1, self, podSession, "sts:AssumeRole")
	// Across accounts both sides are needed even where everybody is trusted.
	f.change(targetRoleARN, func(r *role) { r.Trust = f.trustPolicy(trust(`"*"`, assumeAndTag, "")) })
	f.deny(hop1, target, podSession, "sts:AssumeRole")
}

func TestServicePrincipal(t *testing.T) {
	f := start(t, guideWorld(trustService))
	pod := sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN)}
	const service = "pods.eks.amazonaws.com"
	f.change(podRoleARN, func(r *role) {
		r.Trust = f.trustPolicy(trust(`{"Service":"pods.eks.amazonaws.com"}`, assumeAndTag,
			`{"StringEquals":{"aws:SourceAccount":"111122223333","aws:PrincipalServiceName":"pods.eks.amazonaws.com"},
			"ArnLike":{"aws:SourceArn":"arn:aws:eks:*:111122223333:cluster/example-*"},"Bool":{"aws:PrincipalIsAWSService":"true"}}`))
	})
	f.assume(f.service(), pod)
	f.deny(f.stsFor(serviceKeyID, testSecret, ""), pod, service, "sts:AssumeRole")
	f.deny(f.stsFor(serviceKeyID, testSecret, "", withHeaders(map[string]string{
		"X-Amz-Source-Arn": "arn:aws:eks:us-west-2:111122223333:cluster/other", "X-Amz-Source-Account": clusterAccount,
	})), pod, service, "sts:AssumeRole")

	// Headers that are not signed are not believed.
	status, body := f.sendSTS(serviceKeyID, "Action=AssumeRole&Version=2011-06-15&RoleSessionName=ab&RoleArn="+podRoleARN, map[string]string{
		"X-Amz-Source-Arn": clusterARN, "X-Amz-Source-Account": clusterAccount,
	})
	if status != 403 || strings.Contains(body, "<SecretAccessKey>") {
		t.Errorf("unsigned headers: %d %s", status, body)
	}

	// Nobody else is believed: alice signs the same headers.
	f.change(podRoleARN, func(r *role) {
		r.Trust = f.trustPolicy(trust(rootOf(clusterAccount), assumeAndTag, `{"StringEquals":{"aws:SourceAccount":"111122223333"}}`))
	})
	f.deny(f.stsFor(aliceKeyID, testSecret, "", withHeaders(map[string]string{"X-Amz-Source-Account": clusterAccount})), pod,
		"arn:aws:iam::111122223333:user/alice", "sts:AssumeRole")

	// The service's own permissions open no role.
	f = start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, "")), func(c *Config) {
		c.ServiceKeys[0].Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"*","Resource":"*"}]}`
	})
	f.deny(f.service(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}, service, "sts:AssumeRole")
	_, err := f.service().GetCallerIdentity(t.Context(), nil)
	f.refused(err, "AccessDenied", 403, "User: pods.eks.amazonaws.com is not authorized to perform: sts:GetCallerIdentity on resource: *")
}

func TestGetCallerIdentityAndAccessKeyInfo(t *testing.T) {
	world := guideWorld(trustService)
	world.Accounts[0].Users[0].InlinePolicies = map[string]string{
		"deny": `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`,
	}
	f := start(t, world)
	who, err := f.alice().GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *who.Arn != "arn:aws:iam::111122223333:user/alice" || !strings.HasPrefix(*who.UserId, "AIDA") || len(*who.UserId) != 21 {
		t.Errorf("alice is %s %s", *who.Arn, *who.UserId)
	}
	_, err = f.alice().GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String(aliceKeyID)})
	f.refused(err, "AccessDenied", 403, "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: sts:GetAccessKeyInfo on resource: *")

	f = start(t, guideWorld(trustService))
	for id, account := range map[string]string{
		aliceKeyID: clusterAccount, *f.firstHop(false).Credentials.AccessKeyId: clusterAccount,
		newAccessKeyID(prefixLongTerm, "000000000001"): "000000000001", newAccessKeyID(prefixLongTerm, "999999999999"): "999999999999",
	} {
		out, err := f.alice().GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: &id})
		if err != nil || *out.Account != account {
			t.Errorf("the account of %s is %v, want %s: %v", id, out, account, err)
		}
	}
	_, err = f.alice().GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String("AKIA0000000000000000")})
	f.refused(err, "ValidationError", 400, "Invalid Access Key: AKIA0000000000000000")
}

// What official clients do not send: numbers in other spellings, parameters
// twice, unknown ones, GET, and presigned requests.
func TestRawSTS(t *testing.T) {
	f := start(t, guideWorld(trust(rootOf(clusterAccount), assumeAndTag, "")))
	for _, c := range []struct {
		query    string
		status   int
		contains string
	}{
		{"&RoleSessionName=ab&DurationSeconds=%2B900", 200, "<AccessKeyId>ASIA"},
		{"&RoleSessionName=ab&DurationSeconds=0900", 200, "<AccessKeyId>ASIA"},
		{"&RoleSessionName=ab&DurationSeconds=abc", 400, "<Code>MalformedInput</Code>"},
		{"&RoleSessionName=ab&DurationSeconds=99999999999", 400, "<Code>MalformedInput</Code>"},
		{"&RoleSessionName=first&RoleSessionName=second&Unknown=1", 200, "assumed-role/target/first</Arn>"},
		{"&RoleSessionName=ab&Tags.member.x.Key=a", 400, "<Code>MalformedInput</Code>"},
		{"", 400, "Value null at &#39;roleSessionName&#39; failed"},
		{"&RoleSessionName=ab&ProvidedContexts.member.1.ProviderArn=x", 400, "ProvidedContexts are not available"},
	} {
		status, body := f.sendSTS(aliceKeyID, "Action=AssumeRole&Version=2011-06-15&RoleArn="+targetRoleARN+c.query, nil)
		if status != c.status || !strings.Contains(body, c.contains) {
			t.Errorf("%s: got %d %s", c.query, status, body)
		}
		if strings.Contains(body, "PackedPolicySize") || strings.Contains(body, "SourceIdentity") {
			t.Errorf("%s: an element for what was not passed: %s", c.query, body)
		}
	}
	presigned, err := sts.NewPresignClient(f.as(f.assume(f.alice(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}))).PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	status, body := f.send("GET", strings.TrimPrefix(presigned.URL, f.url), "", nil)
	if status != 200 || !strings.Contains(body, "assumed-role/target/session</Arn>") {
		t.Errorf("presigned: %d %s", status, body)
	}
}
