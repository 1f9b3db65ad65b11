package admission

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podid/podid/internal/identity"
)

// The rules are those of the webhook of EKS, names included, so that manifests
// written for it work unchanged (https://github.com/aws/amazon-eks-pod-identity-webhook;
// the pod that comes out: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
const (
	// CredentialsURI is where pods find the agent; CredentialsURIv6 is the same
	// on clusters whose pods have IPv6 alone.
	CredentialsURI   = "http://169.254.170.23/v1/credentials"
	CredentialsURIv6 = "http://[fd00:ec2::23]/v1/credentials"

	// SkipLabel on a pod, with any value: it is left alone.
	SkipLabel = "eks.amazonaws.com/skip-pod-identity-webhook"
	// Label marks the pods that were looked after. The policy that stands in
	// when podid is away goes by it (docs/decisions/0011-fail-closed.md).
	Label        = "eks.amazonaws.com/pod-identity"
	labelEnabled = "enabled"
	// UnassociatedLabel marks pods that were looked at and need nothing, where
	// the policy would have many associations to compare them with.
	UnassociatedLabel = "podid.dev/no-association"

	// skipContainers, on a pod: names of containers to leave alone, as CSV.
	skipContainers = "eks.amazonaws.com/skip-containers"
	// tokenExpiration, on a pod or else on its service account: in seconds.
	tokenExpiration = "eks.amazonaws.com/token-expiration"
	// regionalEndpoints, on a service account: whether to set stsVariable.
	regionalEndpoints = "eks.amazonaws.com/sts-regional-endpoints"

	volumeName = "eks-pod-identity-token"
	tokenName  = "eks-pod-identity-token"
	mountPath  = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"

	uriVariable           = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	tokenFileVariable     = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
	regionVariable        = "AWS_REGION"
	defaultRegionVariable = "AWS_DEFAULT_REGION"
	stsVariable           = "AWS_STS_REGIONAL_ENDPOINTS"
)

// The lifetime of a token, in seconds. The API server issues none below ten
// minutes and refuses pods that ask for more than 2^32
// (kubernetes/pkg/apis/core/validation, validateProjectedVolumeSource).
// What asks for the default gets up to two hours less, so that pods made
// together do not renew together.
const (
	defaultExpiration = 86400
	jitteredFrom      = 79200
	minExpiration     = 600
	maxExpiration     = 1 << 32
)

// Settings say what pods are given. The zero value is that of an IPv4 cluster
// whose pods find their region by themselves.
type Settings struct {
	// CredentialsURI is where pods find the agent. Empty: CredentialsURI.
	CredentialsURI string
	// Region is set in containers that name none. Empty: not set.
	Region string
	// RegionalSTS makes old SDKs ask STS in their region, unless the service
	// account's annotation says otherwise.
	RegionalSTS bool
	// TokenExpiration is the lifetime of tokens in seconds. 0: a day.
	TokenExpiration int64
}

// Change is what a pod lacks, and what its author should know.
type Change struct {
	Patch    Patch
	Warnings []string
}

// Mutate says how to change a pod whose service account has an association and
// these annotations. What a pod gets does not depend on what the association
// says: it may change without its pods being made anew. Nothing that the pod's
// author set is changed, and a pod that was changed before needs no change.
// chance, from 0 up to 1, spreads the tokens' lifetimes.
func Mutate(pod *corev1.Pod, account map[string]string, s Settings, chance float64) Change {
	if _, skip := pod.Labels[SkipLabel]; skip {
		return Change{}
	}
	m := mutation{pod: pod, variables: s.variables(pod, account), skipped: skippedContainers(pod)}
	m.change.Patch.label(pod, Label, labelEnabled)
	replaced := m.containers("initContainers", pod.Spec.InitContainers)
	replaced = m.containers("containers", pod.Spec.Containers) || replaced
	m.volumes(s.volume(pod, account, chance), replaced)
	m.warn(replaced)
	return m.change
}

// mutation gathers the changes of one pod.
type mutation struct {
	pod       *corev1.Pod
	variables []corev1.EnvVar
	skipped   map[string]bool
	change    Change
	preferred []string // what SDKs prefer to the association, by container
	occupied  []string // containers that mount something else where the token belongs
}

// variables are those that a container is to have, in the order of the stock webhook.
func (s Settings) variables(pod *corev1.Pod, account map[string]string) []corev1.EnvVar {
	uri := s.CredentialsURI
	if uri == "" {
		uri = CredentialsURI
	}
	regional := s.RegionalSTS
	if asked, err := strconv.ParseBool(account[regionalEndpoints]); err == nil {
		regional = asked
	}
	var out []corev1.EnvVar
	if regional {
		out = append(out, corev1.EnvVar{Name: stsVariable, Value: "regional"})
	}
	if s.Region != "" {
		out = append(out, corev1.EnvVar{Name: defaultRegionVariable, Value: s.Region}, corev1.EnvVar{Name: regionVariable, Value: s.Region})
	}
	return append(out, corev1.EnvVar{Name: uriVariable, Value: uri},
		corev1.EnvVar{Name: tokenFileVariable, Value: onSystemOf(pod, mountPath+"/"+tokenName)})
}

// onSystemOf writes a path as the programs of the pod have to.
func onSystemOf(pod *corev1.Pod, path string) string {
	if windows(pod) {
		return "C:" + strings.ReplaceAll(path, "/", `\`)
	}
	return path
}

func windows(pod *corev1.Pod) bool {
	return pod.Spec.NodeSelector["kubernetes.io/os"] == "windows" || pod.Spec.NodeSelector["beta.kubernetes.io/os"] == "windows" ||
		pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows
}

// volume is the token's.
func (s Settings) volume(pod *corev1.Pod, account map[string]string, chance float64) corev1.Volume {
	seconds := s.expiration(pod, account)
	if seconds == defaultExpiration {
		seconds = jitteredFrom + int64(chance*float64(defaultExpiration-jitteredFrom+1))
	}
	return corev1.Volume{Name: volumeName, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: identity.Audience, ExpirationSeconds: &seconds, Path: tokenName,
		}}},
	}}}
}

// expiration is the lifetime asked for: by the pod, else by its service
// account, else by the settings. What is no number says nothing.
func (s Settings) expiration(pod *corev1.Pod, account map[string]string) int64 {
	for _, text := range []string{pod.Annotations[tokenExpiration], account[tokenExpiration]} {
		if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
			return min(max(seconds, minExpiration), maxExpiration)
		}
	}
	if s.TokenExpiration == 0 {
		return defaultExpiration
	}
	return min(max(s.TokenExpiration, minExpiration), maxExpiration)
}

// label gives the pod a label that it has not.
func (p *Patch) label(pod *corev1.Pod, key, value string) {
	switch _, there := pod.Labels[key]; {
	case there:
	case len(pod.Labels) == 0:
		p.add(map[string]string{key: value}, "metadata", "labels")
	default:
		p.add(value, "metadata", "labels", key)
	}
}

// volumes adds the token's volume ahead of the others, unless there is one of
// that name, and takes away that of an injection which was replaced.
func (m *mutation) volumes(token corev1.Volume, replaced bool) {
	left := len(m.pod.Spec.Volumes)
	there := false
	for i, v := range m.pod.Spec.Volumes {
		there = there || v.Name == volumeName
		if replaced && v.Name == irsaVolume && !m.mountsIRSA() {
			m.change.Patch.remove([]int{i}, "spec", "volumes")
			left--
		}
	}
	switch {
	case there:
	case left == 0:
		m.change.Patch.add([]corev1.Volume{token}, "spec", "volumes")
	default:
		m.change.Patch.add(token, "spec", "volumes", "0")
	}
}

func (m *mutation) warn(replaced bool) {
	add := func(format string, args ...any) {
		m.change.Warnings = append(m.change.Warnings, fmt.Sprintf("podid: "+format, args...))
	}
	if replaced {
		add("the role of the service account's IRSA annotation is not used: its pod identity association wins")
	}
	for _, p := range m.preferred {
		add("%s, which AWS SDKs prefer to the service account's association", p)
	}
	for _, name := range m.occupied {
		add("container %s mounts a volume of its own at %s: it finds no token there", name, mountPath)
	}
	if windows(m.pod) {
		add("the pod is for Windows nodes, where no agent gives out credentials")
	}
}
