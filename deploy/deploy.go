// Package deploy has the manifests that "podid install" applies.
package deploy

import _ "embed"

//go:embed podid.yaml
var manifests string

// Manifests returns podid.yaml, which the chart is the source of, with the
// placeholders CLUSTER_NAME, CLUSTER_REGION and CLUSTER_ACCOUNT_ID, and the
// images podid:dev and podid-agent:dev.
func Manifests() string { return manifests }
