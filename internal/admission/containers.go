package admission

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What the webhook injects for IAM roles for service accounts. SDKs prefer web
// identity to container credentials, so that an injection by another webhook
// would hide the association, which on EKS wins. One that has exactly this form
// is replaced; variables in any other form are somebody's own, and stay.
const (
	irsaVolume             = "aws-iam-token"
	irsaTokenFile          = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
	irsaTokenFileOnWindows = `C:\var\run\secrets\eks.amazonaws.com\serviceaccount\token`

	roleVariable        = "AWS_ROLE_ARN"
	webIdentityVariable = "AWS_WEB_IDENTITY_TOKEN_FILE"
)

// preferred are the variables that SDKs look at before the agent's
// (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
var preferred = [...]string{"AWS_ACCESS_KEY_ID", webIdentityVariable, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}

// skippedContainers are the containers that the pod's annotation excepts. One
// that is not CSV excepts none.
func skippedContainers(pod *corev1.Pod) map[string]bool {
	text, annotated := pod.Annotations[skipContainers]
	if !annotated {
		return nil
	}
	names := csv.NewReader(strings.NewReader(text))
	names.TrimLeadingSpace = true
	fields, err := names.Read()
	if err != nil {
		return nil
	}
	skipped := map[string]bool{}
	for _, name := range fields {
		skipped[strings.TrimSpace(name)] = true
	}
	return skipped
}

// containers gives each container its variables and the token. It tells whether
// an injection of another webhook was replaced.
func (m *mutation) containers(field string, containers []corev1.Container) (replaced bool) {
	for i, c := range containers {
		if m.skipped[c.Name] {
			continue
		}
		path := []string{"spec", field, strconv.Itoa(i)}
		if injectedIRSA(c) {
			m.removeIRSA(c, path)
			replaced = true
		}
		m.container(c, path)
		m.note(c)
	}
	return replaced
}

// container adds what c lacks. Of variables that belong together none is added
// where one is there already.
func (m *mutation) container(c corev1.Container, path []string) {
	var missing []corev1.EnvVar
	for _, v := range m.variables {
		switch v.Name {
		case uriVariable, tokenFileVariable:
			if has(c, uriVariable) || has(c, tokenFileVariable) {
				continue
			}
		case regionVariable, defaultRegionVariable:
			if has(c, regionVariable) || has(c, defaultRegionVariable) {
				continue
			}
		default:
			if has(c, v.Name) {
				continue
			}
		}
		missing = append(missing, v)
	}
	extend(&m.change.Patch, len(c.Env), missing, in(path, "env")...)

	for _, mount := range c.VolumeMounts {
		if mount.Name == volumeName {
			return
		}
		// Two volumes at one path would have the API server refuse the pod.
		if strings.TrimRight(mount.MountPath, "/") == mountPath {
			m.occupied = append(m.occupied, c.Name)
			return
		}
	}
	extend(&m.change.Patch, len(c.VolumeMounts), []corev1.VolumeMount{{Name: volumeName, ReadOnly: true, MountPath: mountPath}}, in(path, "volumeMounts")...)
}

// note remembers what makes SDKs look elsewhere.
func (m *mutation) note(c corev1.Container) {
	for _, name := range preferred {
		if has(c, name) && !(name == webIdentityVariable && injectedIRSA(c)) {
			m.preferred = append(m.preferred, fmt.Sprintf("container %s sets %s", c.Name, name))
		}
	}
}

// injectedIRSA tells whether c has exactly what the other webhook injects.
func injectedIRSA(c corev1.Container) bool {
	return has(c, roleVariable) && slices.ContainsFunc(c.Env, isIRSATokenFile) && slices.ContainsFunc(c.VolumeMounts, isIRSAMount)
}

func isIRSATokenFile(v corev1.EnvVar) bool {
	return v.Name == webIdentityVariable && (v.Value == irsaTokenFile || v.Value == irsaTokenFileOnWindows)
}

func isIRSAMount(mount corev1.VolumeMount) bool { return mount.Name == irsaVolume }

func (m *mutation) removeIRSA(c corev1.Container, path []string) {
	m.change.Patch.remove(indices(c.Env, func(v corev1.EnvVar) bool { return v.Name == roleVariable || isIRSATokenFile(v) }), in(path, "env")...)
	m.change.Patch.remove(indices(c.VolumeMounts, isIRSAMount), in(path, "volumeMounts")...)
}

// mountsIRSA tells whether a container that is left alone mounts the other
// webhook's volume.
func (m *mutation) mountsIRSA() bool {
	mounts := func(c corev1.Container) bool {
		return slices.ContainsFunc(c.VolumeMounts, isIRSAMount) && (m.skipped[c.Name] || !injectedIRSA(c))
	}
	return slices.ContainsFunc(m.pod.Spec.InitContainers, mounts) || slices.ContainsFunc(m.pod.Spec.Containers, mounts)
}

func has(c corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name })
}

func indices[T any](all []T, match func(T) bool) (out []int) {
	for i, v := range all {
		if match(v) {
			out = append(out, i)
		}
	}
	return out
}

// in is the path of a field. It shares no memory with that of another.
func in(path []string, field string) []string { return append(slices.Clip(path), field) }
