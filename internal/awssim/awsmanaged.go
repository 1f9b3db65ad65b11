package awssim

import (
	"fmt"
	"time"

	"github.com/podid/podid/internal/policy"
)

// awsManagedPolicies are those of AWS's own policies that are here, as the
// reference has them (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html).
var awsManagedPolicies = []struct {
	name, id, version, description, created, document string
}{
	{"AdministratorAccess", "ANPAIWMBCKSKIEE64ZLYK", "v1", "Provides full access to AWS services and resources.", "2015-02-06T18:39:46Z",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`},
	{"AmazonS3FullAccess", "ANPAIFIR6V6BVTRAHWINE", "v2", "Provides full access to all buckets via the AWS Management Console.", "2015-02-06T18:40:58Z",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}`},
	{"AmazonS3ReadOnlyAccess", "ANPAIZTJ4DXE7G6AGAE6M", "v3", "Provides read only access to all buckets via the AWS Management Console.", "2015-02-06T18:40:59Z",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}`},
	{"IAMFullAccess", "ANPAI7XKCFMBPM3QQRRVQ", "v2", "Provides full access to IAM via the AWS Management Console.", "2015-02-06T18:40:38Z",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*","organizations:DescribeAccount","organizations:DescribeOrganization","organizations:DescribeOrganizationalUnit","organizations:DescribePolicy","organizations:ListChildren","organizations:ListParents","organizations:ListPoliciesForTarget","organizations:ListRoots","organizations:ListPolicies","organizations:ListTargetsForPolicy"],"Resource":"*"}]}`},
	{"IAMReadOnlyAccess", "ANPAJKSO7NDY4T57MWDSQ", "v4", "Provides read only access to IAM via the AWS Management Console.", "2015-02-06T18:40:39Z",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"}]}`},
	{"AmazonEKSWorkerNodePolicy", "ANPAI6TZ2E7VJTMOC2PCA", "v3", "This policy allows Amazon EKS worker nodes to connect to Amazon EKS Clusters.", "2018-05-27T21:09:01Z",
		`{"Version":"2012-10-17","Statement":[{"Sid":"WorkerNodePermissions","Effect":"Allow","Action":["ec2:DescribeInstances","ec2:DescribeInstanceTypes","ec2:DescribeRouteTables","ec2:DescribeSecurityGroups","ec2:DescribeSubnets","ec2:DescribeVolumes","ec2:DescribeVolumesModifications","ec2:DescribeVpcs","eks:DescribeCluster","eks-auth:AssumeRoleForPodIdentity"],"Resource":"*"}]}`},
}

// parseAWSManaged returns AWS's own policies by ARN.
func parseAWSManaged() (map[string]*managedPolicy, error) {
	all := map[string]*managedPolicy{}
	for _, a := range awsManagedPolicies {
		d, err := parseDocument(policy.Identity, a.document)
		if err != nil {
			return nil, fmt.Errorf("AWS managed policy %s: %w", a.name, err)
		}
		created, err := time.Parse(time.RFC3339, a.created)
		if err != nil {
			return nil, fmt.Errorf("AWS managed policy %s: %w", a.name, err)
		}
		p := &managedPolicy{
			AccountID: "aws", Name: a.name, Path: "/", ID: a.id, Description: a.description, Created: created, Updated: created,
			Versions: []policyVersion{{ID: a.version, Document: d, Created: created}}, Default: a.version,
		}
		all[p.ARN()] = p
	}
	return all, nil
}
