package interop

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/podid/podid/test/clients"
)

// TestStockAgent has eks-pod-identity-agent itself get a pod its credentials
// from podid's server.
func TestStockAgent(t *testing.T) {
	info := start(t)
	associate(t, info)
	ask := clients.StockAgent(t, cluster, info.URL, info.Env())
	status, body := ask(mint(t, info, demoPod()))
	var got struct{ AccessKeyID, SecretAccessKey, Token, AccountID, Expiration string }
	if err := json.Unmarshal(body, &got); err != nil || status != http.StatusOK || got.AccountID != "444455556666" {
		t.Fatalf("status %d: %.300s, %v", status, body, err)
	}
	if ends, err := time.Parse(time.RFC3339, got.Expiration); err != nil || time.Until(ends) < 50*time.Minute {
		t.Errorf("expires %s, %v", got.Expiration, err)
	}
	id, err := sts.NewFromConfig(aws.Config{Region: info.Cluster.Region, BaseEndpoint: &info.URL,
		Credentials: credentials.NewStaticCredentialsProvider(got.AccessKeyID, got.SecretAccessKey, got.Token)}).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || !strings.HasPrefix(*id.Arn, targetSTS) {
		t.Errorf("the pod is %+v, %v", id, err)
	}
	// A service account without an association: what the server refuses, the pod is told.
	other := demoPod()
	other.ServiceAccount = "nobody"
	if status, body := ask(mint(t, info, other)); status != http.StatusNotFound || !strings.Contains(string(body), "ResourceNotFoundException") {
		t.Errorf("without an association: status %d: %s", status, body)
	}
}
