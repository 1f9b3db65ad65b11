package issue

import (
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
)

const (
	// firstHop is what EKS asks for, as CloudTrail shows it
	// (https://github.com/aws-samples/amazon-eks-security-immersion-day).
	firstHop = 6 * time.Hour
	// secondHop is the most that role chaining allows
	// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
	secondHop = time.Hour
	// maxSessionName is the longest RoleSessionName (same page).
	maxSessionName = 64
)

// Chain returns the role assumptions that lead to the credentials of subject,
// one or two. sessionID makes the names of the sessions unique.
//
// The Pod Identity role is assumed with the session tags, which are transitive:
// the second hop inherits them, and may not set them again. The external ID goes
// to the target role, whether tags are on or not. The session policy narrows
// the role whose credentials reach the pod, and no other
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html,
// https://aws.amazon.com/blogs/containers/session-policies-for-amazon-eks-pod-identity/).
//
// Without tags nothing in the first of two hops tells pods apart, and one session
// can serve all of them; it is named after the service account.
func Chain(a identity.Association, s identity.Subject, sessionID string) []identity.Hop {
	first := identity.Hop{
		Cluster: a.Cluster, RoleARN: a.RoleARN, SessionName: sessionName(a.Cluster.Name, s.PodName, sessionID), Duration: firstHop,
	}
	if !a.DisableSessionTags {
		first.Tags = sessionTags(a.Cluster, s)
		for _, tag := range first.Tags {
			first.TransitiveTagKeys = append(first.TransitiveTagKeys, tag.Key)
		}
	}
	if a.TargetRoleARN == "" {
		first.Policy = a.Policy
		return []identity.Hop{first}
	}
	second := identity.Hop{
		Cluster: a.Cluster, RoleARN: a.TargetRoleARN, SessionName: first.SessionName, Duration: secondHop,
		ExternalID: a.ExternalID(), Policy: a.Policy,
	}
	if a.DisableSessionTags {
		first.SessionName = sessionName(a.Cluster.Name, s.ServiceAccount, sessionID)
	}
	return []identity.Hop{first, second}
}

// sessionTags returns the six tags in the order in which EKS sends them
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html).
func sessionTags(c identity.Cluster, s identity.Subject) []identity.Tag {
	return []identity.Tag{
		{Key: "eks-cluster-arn", Value: c.ARN()},
		{Key: "eks-cluster-name", Value: c.Name},
		{Key: "kubernetes-namespace", Value: s.Namespace},
		{Key: "kubernetes-service-account", Value: s.ServiceAccount},
		{Key: "kubernetes-pod-name", Value: s.PodName},
		{Key: "kubernetes-pod-uid", Value: s.PodUID},
	}
}

// sessionName returns eks-CLUSTER-POD-ID. AWS documents that form
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html);
// that it cuts the names to ten characters has only been seen.
func sessionName(cluster, pod, id string) string {
	return cut("eks-"+cut(clean(cluster), 10)+"-"+cut(clean(pod), 10)+"-"+clean(id), maxSessionName)
}

// clean replaces what a session name cannot contain. The result is ASCII.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+=,.@-", r) {
			return r
		}
		return '-'
	}, s)
}

func cut(s string, length int) string { return s[:min(len(s), length)] }
