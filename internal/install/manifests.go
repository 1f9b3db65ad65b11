// Package install puts podid into a cluster, and tells before what would be in
// its way, and afterwards what is.
package install

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/deploy"
	"github.com/podid/podid/internal/identity"
)

// The namespaces and the name of what is installed, as the manifests have them.
const (
	serverNamespace = "podid-system"
	agentNamespace  = "podid-agent"
	name            = "podid"
	agentName       = "podid-agent"
)

// Settings are what the manifests leave open. Cluster is required.
type Settings struct {
	Cluster identity.Cluster
	// Image and AgentImage name the images. "": podid:dev and podid-agent:dev.
	Image, AgentImage string
}

var (
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
	clusterName = regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)
	region      = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	// A part of https://github.com/distribution/reference, in which nothing is
	// special to YAML.
	image = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*(:[0-9]+/[A-Za-z0-9._/-]+)?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
)

func (s Settings) check() error {
	var errs []error
	if !clusterName.MatchString(s.Cluster.Name) {
		errs = append(errs, fmt.Errorf("cluster name %q: want at most 100 letters, digits, - and _, a letter or digit first", s.Cluster.Name))
	}
	if !region.MatchString(s.Cluster.Region) {
		errs = append(errs, fmt.Errorf("region %q: want one as us-west-2", s.Cluster.Region))
	}
	if !identity.IsAccountID(s.Cluster.AccountID) {
		errs = append(errs, fmt.Errorf("account id %q: want 12 digits", s.Cluster.AccountID))
	}
	for _, i := range []string{s.Image, s.AgentImage} {
		if i != "" && !image.MatchString(i) {
			errs = append(errs, fmt.Errorf("image %q: want NAME:TAG or NAME@sha256:DIGEST", i))
		}
	}
	return errors.Join(errs...)
}

// Manifests returns what s makes of the manifests: YAML, one document an object.
func Manifests(s Settings) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	if s.Image == "" {
		s.Image = "podid:dev"
	}
	if s.AgentImage == "" {
		s.AgentImage = "podid-agent:dev"
	}
	text := deploy.Manifests()
	if i := strings.Index(text, "---\n"); i > 0 {
		text = text[i:] // without what it says of the placeholders
	}
	return strings.NewReplacer(
		"CLUSTER_NAME", s.Cluster.Name, "CLUSTER_REGION", s.Cluster.Region, "CLUSTER_ACCOUNT_ID", s.Cluster.AccountID,
		"image: podid:dev", "image: "+s.Image, "image: podid-agent:dev", "image: "+s.AgentImage,
	).Replace(text), nil
}

// objects parses manifests.
func objects(manifests string) (all []*unstructured.Unstructured, err error) {
	for text := range strings.SplitSeq("\n"+manifests, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(text), &o.Object); err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
	return all, nil
}
