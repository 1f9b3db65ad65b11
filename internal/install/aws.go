package install

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aws asks STS who this machine is, and what time it is there. The server's own
// access is the server's: its log tells, and the ChainVerified of associations.
func (k *checker) aws(ctx context.Context) {
	const what = "AWS, from here"
	if k.config.AWS == nil {
		return
	}
	out, err := sts.NewFromConfig(*k.config.AWS).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			k.say(what, Failed, api.ErrorCode()+": "+api.ErrorMessage(), "these are the credentials of this machine; if the server is to have others, go on")
			return
		}
		k.say(what, Unknown, err.Error(), "credentials of this machine are not needed; those of the server are: docs/install has a page for each kind of cluster")
		return
	}
	account := aws.ToString(out.Account)
	if k.config.AccountID != "" && account != k.config.AccountID {
		k.say(what, Warning, aws.ToString(out.Arn), "the cluster's account is "+k.config.AccountID+": the server may be of another account only if the Pod Identity roles trust that one")
	} else {
		k.say(what, OK, aws.ToString(out.Arn), "")
	}
	if response, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); ok {
		k.clock("clock of AWS", response.Header, k.config.Now())
	}
}

// awsSkew is how far a clock may be off for AWS to accept signatures
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html),
// with something to spare.
const awsSkew = 4 * time.Minute

func (k *checker) clock(what string, header http.Header, now time.Time) {
	ahead, err := since(header.Get("Date"), now.Add(-checkTimeout), now)
	if err != nil {
		k.say(what, Unknown, err.Error(), "")
		return
	}
	k.judge(what, "this machine's clock", ahead, awsSkew)
}

// judge says what comes of a clock that is ahead, or behind.
func (k *checker) judge(what, whose string, ahead, tolerable time.Duration) {
	const fix = "synchronize it: AWS refuses signatures that are five minutes off, and tokens expire by the clock of whoever looks at them"
	switch off := ahead.Abs(); {
	case off > tolerable:
		k.say(what, Failed, fmt.Sprintf("%s is off by %v", whose, off.Round(time.Second)), fix)
	case off > 5*time.Second:
		k.say(what, Warning, fmt.Sprintf("%s is off by %v", whose, off.Round(time.Second)), fix)
	default:
		k.say(what, OK, whose+" is right", "")
	}
}

// kubelets renew their node's lease every ten seconds, by their own clock
// (https://kubernetes.io/docs/concepts/architecture/leases/#node-heart-beats).
const renewal = 10 * time.Second

// clocks compares the clocks of this machine and of the nodes with the API server's.
func (k *checker) clocks(ctx context.Context) {
	ahead, err := k.date(ctx)
	if err != nil {
		k.say("clock", Unknown, err.Error(), "")
		return
	}
	k.judge("clock", "this machine's clock, by the API server's,", ahead, awsSkew)
	leases, err := k.client.CoordinationV1().Leases("kube-node-lease").List(ctx, metav1.ListOptions{})
	if err != nil {
		k.say("clocks of nodes", Unknown, err.Error(), "")
		return
	}
	off := 0
	for _, l := range leases.Items {
		if by := nodeClock(l); by.Abs() > 2*renewal {
			off++
			k.judge("clocks of nodes", "the clock of node "+l.Name, by, awsSkew)
		}
	}
	if off == 0 {
		k.say("clocks of nodes", OK, fmt.Sprintf("%d nodes keep time with the API server", len(leases.Items)), "")
	}
}

// nodeClock returns how far the clock of a lease's node is ahead: what the
// kubelet wrote into the lease, against the time at which the API server, by its
// own, took it.
func nodeClock(l coordinationv1.Lease) time.Duration {
	var taken time.Time
	for _, f := range l.ManagedFields {
		if f.Time != nil && f.Time.After(taken) {
			taken = f.Time.Time
		}
	}
	if taken.IsZero() || l.Spec.RenewTime == nil {
		return 0
	}
	return l.Spec.RenewTime.Sub(taken)
}
