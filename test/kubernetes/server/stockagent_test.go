package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/podid/podid/internal/accesskey"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/clients"
)

const stockAgentMay = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: the-stock-agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-stock-agent}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: stock-agent}]
`

// TestStockAgent has eks-pod-identity-agent itself get a pod its credentials
// from a cluster's podid, by an access key whose user RBAC lets assume roles.
func TestStockAgent(t *testing.T) {
	t.Parallel()
	w := start(t, 1)
	w.associate("app")
	w.ServiceAccount(t, "shop", "other")
	w.Cluster.Pod(t, "shop", "other", "other", "node-1")
	// It has an HTTP client of its own, which does not know AWS_CA_BUNDLE.
	env := append(w.keyOf("stock-agent", accesskey.UseEKSAuth), "SSL_CERT_FILE="+w.authority())
	ask := clients.StockAgent(t, clusterName, "https://"+w.replicas[0].apis, env)
	other := w.Token(t, "shop", "other", "other", identity.Audience)

	// Without RBAC's leave the key gets nothing.
	if status, body := ask(other); status != http.StatusForbidden && status != http.StatusBadRequest || !strings.Contains(string(body), "AccessDenied") {
		t.Errorf("a key without rights: status %d: %s", status, body)
	}
	w.Apply(t, stockAgentMay)
	token := w.podToken("web", "node-1").Reveal()
	var got struct{ AccessKeyID, SecretAccessKey, Token, AccountID string }
	eventually(t, "the pod has credentials of the target role", func() error {
		status, body := ask(token)
		if err := json.Unmarshal(body, &got); err != nil || status != http.StatusOK || got.AccountID != targetAccount || got.Token == "" {
			return fmt.Errorf("status %d: %.300s, %w", status, body, err)
		}
		return nil
	})
	eventually(t, "an event tells of the grant", func() error {
		return isTrue(slices.ContainsFunc(w.replicas[0].events(), func(e audit.Event) bool {
			return e.Outcome == audit.Granted && e.CallerNodeName == "" && len(e.Hops) == 2
		}))
	})
	if status, body := ask(other); status != http.StatusNotFound || !strings.Contains(string(body), "ResourceNotFoundException") {
		t.Errorf("without an association: status %d: %s", status, body)
	}
}
