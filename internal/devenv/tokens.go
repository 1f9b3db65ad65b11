package devenv

import "time"

// tokenService is the SigV4 service of the development cluster's token door:
// podid's own, because on EKS the API server's TokenRequest does this.
const tokenService = "podid"

type tokenRequest struct {
	PodName           string `json:"podName,omitempty"`
	PodUID            string `json:"podUid,omitempty"`
	NodeName          string `json:"nodeName,omitempty"`
	Audience          string `json:"audience,omitempty"`
	ExpirationSeconds int64  `json:"expirationSeconds,omitempty"`
}

// TokenReply is a minted token and the pod it is for.
type TokenReply struct {
	Token    string    `json:"token"`
	Expires  time.Time `json:"expires"`
	PodName  string    `json:"podName"`
	PodUID   string    `json:"podUid"`
	NodeName string    `json:"nodeName"`
}
