package audit_test

import (
	"testing"
	"time"

	"github.com/podid/podid/internal/audit"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// full is an event of which every field is set.
func full() *audit.Event {
	expires := noon.Add(time.Hour)
	return &audit.Event{
		EventVersion: audit.Version, EventID: "e-1", EventTime: noon, EventSource: audit.SourceEKSAuth, EventName: audit.AssumeRoleForPodIdentity,
		RequestID: "r-1", SourceIPAddress: "10.0.0.1", CallerARN: "arn:aws:sts::111122223333:assumed-role/node/i-1", CallerUser: "alice",
		CallerGroups: []string{"devs"}, CallerAccessKeyID: "AKIACALLER", CallerNodeName: "node-1", Outcome: audit.Refused,
		ErrorCode: "access denied", ErrorMessage: "Unauthorized Exception!", ClusterName: "example-cluster",
		Subject: &audit.Subject{Namespace: "shop", ServiceAccount: "app", PodName: "app-0", PodUID: "u-1", NodeName: "node-1", TokenID: "j-1"},
		Association: &audit.Association{
			ID: "a-1", ARN: "arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-1", Namespace: "shop", ServiceAccount: "app",
			RoleARN: "arn:aws:iam::111122223333:role/pod-identity", TargetRoleARN: "arn:aws:iam::444455556666:role/path/target",
			DisableSessionTags: true, ExternalID: "x-1", Policy: "{}", Tags: map[string]string{"team": "blue"}, RevokedAt: &noon,
		},
		Before:  &audit.Association{Namespace: "shop", ServiceAccount: "app", RoleARN: "arn:aws:iam::111122223333:role/before"},
		RoleARN: "arn:aws:iam::111122223333:role/passed",
		Hops: []audit.Hop{{
			RoleARN: "arn:aws:iam::444455556666:role/hop", SessionName: "eks-s", SessionTags: true, ExternalID: "x-2", Outcome: audit.Refused,
			Error: "AccessDenied: sts:TagSession", AccessKeyID: "ASIAHOP", AssumedRoleARN: "arn:aws:sts::444455556666:assumed-role/hop/eks-s",
			AWSRequestID: "aws-1", Expires: &expires, Cached: true,
		}},
	}
}

func TestFilterMatches(t *testing.T) {
	for name, f := range map[string]audit.Filter{
		"all":          {},
		"pod by name":  {Pod: "app-0"},
		"pod by uid":   {Pod: "u-1"},
		"subject":      {Namespace: "shop", ServiceAccount: "app"},
		"hop's role":   {Role: "arn:aws:iam::444455556666:role/hop"},
		"its name":     {Role: "hop"},
		"target":       {Role: "target", Account: "444455556666"},
		"before":       {Role: "before"},
		"passed":       {Role: "passed"},
		"account":      {Account: "111122223333"},
		"user":         {User: "alice"},
		"caller":       {User: "assumed-role/node/"},
		"node":         {User: "node-1"},
		"outcome":      {Outcome: audit.Refused},
		"name":         {EventName: "assumeroleforpodidentity"},
		"source":       {EventSource: audit.SourceEKSAuth},
		"hop's key":    {AccessKeyID: "ASIAHOP"},
		"caller's key": {AccessKeyID: "AKIACALLER"},
		"since":        {Since: noon},
		"until":        {Until: noon.Add(1)},
		"text":         {Text: "TAGSESSION"},
		"text of tags": {Text: "blue"},
		"text of ids":  {Text: "aws-1"},
	} {
		if !f.Match(full()) {
			t.Errorf("%s: %+v does not match", name, f)
		}
		if nothing := (&audit.Event{EventTime: noon.Add(-time.Hour)}); name != "all" && name != "until" && f.Match(nothing) {
			t.Errorf("%s: %+v matches an event that has nothing", name, f)
		}
	}
}

func TestFilterPassesOver(t *testing.T) {
	for name, f := range map[string]audit.Filter{
		"pod":                  {Pod: "app"},
		"namespace":            {Namespace: "sho"},
		"service account":      {Namespace: "shop", ServiceAccount: "other"},
		"part of a role":       {Role: "ho"},
		"role of the path":     {Role: "path/target"},
		"role in that account": {Role: "hop", Account: "111122223333"},
		"account":              {Account: "999999999999"},
		"user":                 {User: "bob"},
		"outcome":              {Outcome: audit.Granted},
		"name":                 {EventName: "AssumeRole"},
		"source":               {EventSource: audit.SourceEKS},
		"key":                  {AccessKeyID: "ASIA"},
		"since":                {Since: noon.Add(1)},
		"until":                {Until: noon},
		"text":                 {Text: "nowhere"},
	} {
		if f.Match(full()) {
			t.Errorf("%s: %+v matches", name, f)
		}
	}
}

func TestFilterByAnAssociation(t *testing.T) {
	change := &audit.Event{Association: &audit.Association{Namespace: "shop", ServiceAccount: "app"}}
	deletion := &audit.Event{Before: change.Association}
	for _, e := range []*audit.Event{change, deletion} {
		if f := (audit.Filter{Namespace: "shop", ServiceAccount: "app"}); !f.Match(e) {
			t.Errorf("%+v is not found by its association", e)
		}
	}
}
