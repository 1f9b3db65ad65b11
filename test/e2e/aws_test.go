//go:build linux

package e2e_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/podid/podid/internal/awssim"
	"github.com/podid/podid/test/kubernetes/cluster"
	"github.com/podid/podid/test/kubernetes/node"
)

// The small AWS is reached under AWS's own names: the cluster's name service
// leads them to it, and every image trusts its certificate. So no program is
// told where its AWS is, as none is in a real cluster.

func rootsFile(folder string) string { return filepath.Join(folder, "aws-roots.pem") }

// certifyAWS makes the certificate of the small AWS.
func certifyAWS(folder string) error {
	authority, err := cluster.NewAuthority("the small AWS of the tests")
	if err != nil {
		return err
	}
	certificate, key, err := authority.Server("sts.amazonaws.com", "*.us-west-2.amazonaws.com", "*.s3.us-west-2.amazonaws.com")
	return errors.Join(err,
		os.WriteFile(rootsFile(folder), authority.PEM(), 0o600),
		os.WriteFile(filepath.Join(folder, "aws.crt"), certificate, 0o600),
		os.WriteFile(filepath.Join(folder, "aws.key"), key, 0o600))
}

// serveAWS serves it to pods and machines, until the process ends.
func serveAWS(folder string) error {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "aws.crt"), filepath.Join(folder, "aws.key"))
	if err != nil {
		return err
	}
	sim, err := awssim.New(awssim.Config{World: accounts(), Region: region})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(node.Gateway, "443"))
	if err != nil {
		return err
	}
	s := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	go s.ServeTLS(l, "", "")
	return nil
}

const (
	region        = "us-west-2"
	clusterName   = "example-cluster"
	clusterOwner  = "111122223333"
	dataOwner     = "444455556666"
	bucket        = "example-data-" + dataOwner
	otherBucket   = "other-data-" + dataOwner
	roleARN       = "arn:aws:iam::" + clusterOwner + ":role/shop-pods"
	targetRoleARN = "arn:aws:iam::" + dataOwner + ":role/shop-data"
	otherRoleARN  = "arn:aws:iam::" + dataOwner + ":role/other-data"
	serverARN     = "arn:aws:iam::" + clusterOwner + ":user/podid"

	// Keys of a world that exists only here.
	serverKeyID = "AKIAPODIDSERVER00001"
	serverKey   = "a-secret-of-the-tests-of-podid-00000000"
)

// accounts are the guide's two: the cluster's, and the one with the data.
func accounts() awssim.World {
	allow := func(principal, actions string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":` + actions + `}]}`
	}
	may := func(actions, resource string) map[string]string {
		return map[string]string{"may": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":"` + resource + `"}]}`}
	}
	const assume = `["sts:AssumeRole","sts:TagSession"]`
	return awssim.World{Accounts: []awssim.Account{
		{
			ID: clusterOwner,
			Users: []awssim.User{{Name: "podid", AccessKeys: []awssim.AccessKey{{ID: serverKeyID, Secret: serverKey}},
				InlinePolicies: may(`["sts:AssumeRole","sts:TagSession","iam:GetRole"]`, "*")}},
			Roles: []awssim.Role{{Name: "shop-pods", TrustPolicy: allow(serverARN, assume), InlinePolicies: may(assume, "arn:aws:iam::"+dataOwner+":role/*")}},
		},
		{
			ID: dataOwner,
			Roles: []awssim.Role{
				{Name: "shop-data", TrustPolicy: allow(roleARN, assume), InlinePolicies: may(`"s3:GetObject"`, "arn:aws:s3:::"+bucket+"/*")},
				{Name: "other-data", TrustPolicy: allow(roleARN, assume), InlinePolicies: may(`"s3:GetObject"`, "arn:aws:s3:::"+otherBucket+"/*")},
			},
			Buckets: []awssim.Bucket{
				{Name: bucket, Objects: map[string]string{"hello.txt": "hello from the other account"}},
				{Name: otherBucket, Objects: map[string]string{"hello.txt": "hello from the other bucket"}},
			},
		},
	}}
}
