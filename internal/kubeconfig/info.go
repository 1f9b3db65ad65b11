package kubeconfig

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/identity"
)

// infoName is the ConfigMap, in podid's namespace, that says what users' tools
// have to know. The chart publishes it, and lets every user read it.
const infoName = "podid-info"

// The fields of that ConfigMap.
const (
	fieldCluster      = "clusterName"
	fieldRegion       = "region"
	fieldAccount      = "accountID"
	fieldFirstHop     = "firstHop"
	fieldFirstHopAs   = "firstHopAs"
	fieldKeys         = "accessKeyNamespace"
	fieldAuthorityMap = "authorityConfigMap"
)

// Info is what podid says of itself in a cluster.
type Info struct {
	// Cluster is the cluster as AWS would name it.
	Cluster identity.Cluster
	// AsService: Pod Identity roles are assumed as the service
	// pods.eks.amazonaws.com, which only a small AWS allows. If not, FirstHopAs
	// is podid's own identity; empty: it is not told.
	AsService  bool
	FirstHopAs string
	// AccessKeys is the namespace of the Secrets that hold access keys.
	AccessKeys string
	// authority is the NAMESPACE/NAME of the ConfigMap with the certificates that
	// vouch for the server's.
	authority string
}

// Info reads what podid says of itself, once. What Config.AWS names counts more.
func (k *Cluster) Info(ctx context.Context) (Info, error) {
	if k.stated != nil {
		return *k.stated, nil
	}
	given := k.config.AWS
	found, err := k.client.CoreV1().ConfigMaps(k.config.PodidNamespace).Get(ctx, infoName, metav1.GetOptions{})
	if err != nil {
		if given.Name != "" && given.Region != "" && given.AccountID != "" {
			// Associations need nothing else.
			k.stated = &Info{Cluster: given, AccessKeys: k.config.PodidNamespace}
			return *k.stated, nil
		}
		return Info{}, k.unstated(err)
	}
	info, err := readInfo(found, given)
	if err != nil {
		return Info{}, err
	}
	k.stated = &info
	return info, nil
}

func (k *Cluster) unstated(err error) error {
	what := fmt.Sprintf("podid in context %s does not say which cluster of AWS this is", k.Context)
	if apierrors.IsNotFound(err) {
		err = fmt.Errorf("there is no ConfigMap %s in namespace %s", infoName, k.config.PodidNamespace)
	}
	return fmt.Errorf("%s: %w (is podid elsewhere? --podid-namespace; or give --cluster, --region and --account-id)", what, err)
}

func readInfo(m *corev1.ConfigMap, given identity.Cluster) (Info, error) {
	field := func(name string) string { return strings.TrimSpace(m.Data[name]) }
	info := Info{
		Cluster:   identity.Cluster{Name: field(fieldCluster), Region: field(fieldRegion), AccountID: field(fieldAccount)},
		AsService: field(fieldFirstHop) == "service", FirstHopAs: field(fieldFirstHopAs),
		AccessKeys: field(fieldKeys), authority: field(fieldAuthorityMap),
	}
	info.Cluster.Name = cmp.Or(given.Name, info.Cluster.Name)
	info.Cluster.Region = cmp.Or(given.Region, info.Cluster.Region)
	info.Cluster.AccountID = cmp.Or(given.AccountID, info.Cluster.AccountID)
	info.AccessKeys = cmp.Or(info.AccessKeys, m.Namespace)
	if c := info.Cluster; c.Name == "" || c.Region == "" || !identity.IsAccountID(c.AccountID) {
		return Info{}, fmt.Errorf("ConfigMap %s/%s: want %s, %s, and %s of 12 digits", m.Namespace, m.Name, fieldCluster, fieldRegion, fieldAccount)
	}
	return info, nil
}
