package awssim

import (
	"net/http"
	"net/url"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/policy"
)

var stsProtocol = awswire.Query{Namespace: awswire.STSNamespace}

const webIdentityAction = "AssumeRoleWithWebIdentity"

// serveSTS answers one STS request
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html).
func (s *Sim) serveSTS(w http.ResponseWriter, r *http.Request, c *Caller) {
	form, err := awswire.ParseForm(r)
	if err != nil {
		stsProtocol.WriteError(w, r, err)
		return
	}
	action := form.Get("Action")
	operation := map[string]func(*http.Request, *Caller, url.Values) (any, error){
		"AssumeRole":        s.assumeRole,
		webIdentityAction:   s.assumeRoleWithWebIdentity,
		"GetCallerIdentity": s.getCallerIdentity,
		"GetAccessKeyInfo":  s.getAccessKeyInfo,
	}[action]
	if operation == nil {
		stsProtocol.WriteError(w, r, awswire.InvalidAction(form))
		return
	}
	result, err := operation(r, c, form)
	if err != nil {
		stsProtocol.WriteError(w, r, err)
		return
	}
	stsProtocol.WriteResult(w, r, action, result)
}

// getCallerIdentity needs no permission, and no policy can take it away
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html).
func (s *Sim) getCallerIdentity(_ *http.Request, c *Caller, _ url.Values) (any, error) {
	if c.principal.Kind == policy.Service {
		return nil, stsDenied(c, "sts:GetCallerIdentity", "*") // services have no ARN
	}
	return callerIdentityResult{Arn: c.ARN(), UserID: c.userID(), Account: c.AccountID()}, nil
}

// getAccessKeyInfo reads the account out of a key's id, as AWS does, whether or
// not the key is still there
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html).
func (s *Sim) getAccessKeyInfo(_ *http.Request, c *Caller, form url.Values) (any, error) {
	var in accessKeyInfoInput
	if err := awswire.DecodeForm(form, &in); err != nil {
		return nil, err
	}
	var v validation
	v.text("accessKeyId", in.AccessKeyID, 16, 128, wordPattern)
	if err := v.err(); err != nil {
		return nil, err
	}
	if d := s.decide(c, question{Action: "sts:GetAccessKeyInfo", Resource: "*"}); d.Verdict != policy.Allowed {
		return nil, stsDenied(c, "sts:GetAccessKeyInfo", "*")
	}
	if u, _, ok := s.state.userByKey(*in.AccessKeyID); ok {
		return accessKeyInfoResult{u.AccountID}, nil
	}
	account, ok := accountOfKey(*in.AccessKeyID)
	if !ok {
		return nil, &awswire.Error{Code: "ValidationError", Status: http.StatusBadRequest, Message: "Invalid Access Key: " + *in.AccessKeyID}
	}
	return accessKeyInfoResult{account}, nil
}
