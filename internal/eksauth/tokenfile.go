package eksauth

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/podid/podid/internal/identity"
)

// maxTokenFile bounds a service account token, in bytes. Kubernetes' own have about 1,200.
const maxTokenFile = 16 << 10

// TokenFile is a source for ClientConfig.Token: the token in a file, as it is
// at each call. The kubelet replaces a projected token when four fifths of its
// life are over
// (https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#launch-a-pod-using-service-account-token-projection).
func TokenFile(path string) func() (identity.Secret, error) {
	return func() (identity.Secret, error) {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
		if err != nil {
			return "", err
		}
		token := strings.TrimSpace(string(text))
		if len(text) > maxTokenFile || !identity.IsToken(token) {
			return "", fmt.Errorf("%s holds no service account token", path)
		}
		return identity.Secret(token), nil
	}
}
