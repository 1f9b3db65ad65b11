package explain

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/podid/podid/internal/eksauth"
)

// tryLive has the EKS Auth API itself make the chain. It ends with the
// credentials: what they may do is not tried.
func (w *walk) tryLive(ctx context.Context) *Live {
	predicted := Allowed
	for _, s := range w.report.Steps {
		if s.Name != StepAction {
			predicted = worse(predicted, s.Verdict)
		}
	}
	grant, err := w.try(ctx)
	if err == nil {
		return compare(&Live{Verdict: Allowed, Answer: "the pod gets " + grant.Session.AssumedRoleARN}, predicted)
	}
	refusal, answered := errors.AsType[*eksauth.Error](err)
	if !answered || !slices.Contains(refusals, refusal.Code) {
		return &Live{Verdict: Unknown, Answer: err.Error(), Text: "this says nothing about the roles: is the token of this service account, and may these credentials call " +
			"eks-auth:AssumeRoleForPodIdentity?"}
	}
	return compare(&Live{Verdict: Refused, Answer: refusal.Code + ": " + refusal.Message}, predicted)
}

// try makes the chain.
func (w *walk) try(ctx context.Context) (*eksauth.Grant, error) {
	if w.config.Try != nil {
		return w.config.Try(ctx, w.question.Token)
	}
	client, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: w.question.Cluster, Region: w.config.AWS.Region, Credentials: w.config.AWS.Credentials,
		Endpoint: cmp.Or(w.config.AuthEndpoint, aws.ToString(w.config.AWS.BaseEndpoint)),
	})
	if err != nil {
		return nil, err
	}
	return client.AssumeRoleForPodIdentity(ctx, w.question.Token)
}

// refusals are the exceptions by which a role assumption or the lack of an
// association shows
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html).
var refusals = []string{"AccessDeniedException", "InvalidRequestException", "ResourceNotFoundException"}

func compare(l *Live, predicted Verdict) *Live {
	switch {
	case predicted == Unknown:
		l.Agrees, l.Text = true, "the prediction was open"
	case predicted == l.Verdict:
		l.Agrees, l.Text = true, "as predicted"
	default:
		l.Text = "THE PREDICTION WAS WRONG: it said " + string(predicted) + ". Either something changed meanwhile or has not reached all of AWS yet, " +
			"or podid judges it otherwise than AWS does: please report that"
	}
	return l
}
