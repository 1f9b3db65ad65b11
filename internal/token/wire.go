package token

import "github.com/go-jose/go-jose/v4/jwt"

// claims are those of a bound service account token
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims).
type claims struct {
	jwt.Claims
	Kubernetes struct {
		Namespace      string    `json:"namespace"`
		Node           reference `json:"node"`
		Pod            reference `json:"pod"`
		ServiceAccount reference `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

type reference struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}
