"""boto3 against development mode: as the administrator of the cluster's account, then inside the pod."""
import sys
import boto3
import botocore
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"
TARGET = "arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources"
BUCKET = "example-data-444455556666"
CLUSTER = "example-cluster"


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, (code, e.response["Error"])
        return e
    raise AssertionError(f"{call.__name__} succeeded, want {code}")


def administrator():
    eks = boto3.client("eks")
    made = eks.create_pod_identity_association(
        clusterName=CLUSTER, namespace="default", serviceAccount="demo-app-sa", roleArn=ROLE, targetRoleArn=TARGET,
        clientRequestToken="boto3-once")["association"]
    again = eks.create_pod_identity_association(
        clusterName=CLUSTER, namespace="default", serviceAccount="demo-app-sa", roleArn=ROLE, targetRoleArn=TARGET,
        clientRequestToken="boto3-once")["association"]
    assert made["associationId"] == again["associationId"], (made, again)
    assert made["externalId"] == "us-west-2/111122223333/example-cluster/default/demo-app-sa", made
    assert made["tags"] == {} and made["disableSessionTags"] is False, made
    name = {"clusterName": CLUSTER, "associationId": made["associationId"]}
    seen = eks.describe_pod_identity_association(**name)["association"]
    assert seen == made, (seen, made)

    for i in range(5):
        eks.create_pod_identity_association(clusterName=CLUSTER, namespace="paging", serviceAccount=f"sa-{i}", roleArn=ROLE)
    pages = list(eks.get_paginator("list_pod_identity_associations").paginate(
        clusterName=CLUSTER, namespace="paging", PaginationConfig={"PageSize": 2}))
    assert [len(p["associations"]) for p in pages] == [2, 2, 1], pages

    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"}]}'
    refused("InvalidParameterException", eks.update_pod_identity_association, policy=policy, **name)
    changed = eks.update_pod_identity_association(disableSessionTags=True, policy=policy, **name)["association"]
    assert changed["policy"] == policy and changed["disableSessionTags"] is True, changed
    changed = eks.update_pod_identity_association(disableSessionTags=False, policy="", **name)["association"]
    assert "policy" not in changed, changed

    refused("ResourceInUseException", eks.create_pod_identity_association,
            clusterName=CLUSTER, namespace="default", serviceAccount="demo-app-sa", roleArn=ROLE)
    refused("ResourceNotFoundException", eks.describe_cluster, name="no-such-cluster")
    refused("InvalidParameterException", eks.list_pod_identity_associations, clusterName=CLUSTER, nextToken="garbage")
    refused("NotFoundException", eks.list_tags_for_resource,
            resourceArn="arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-00000000000000000")
    assert eks.describe_cluster(name=CLUSTER)["cluster"]["status"] == "ACTIVE"

    wrong = boto3.client("sts", aws_secret_access_key="x" * 40, aws_access_key_id=boto3.Session().get_credentials().access_key)
    refused("SignatureDoesNotMatch", wrong.get_caller_identity)
    refused("AccessDenied", boto3.client("sts").assume_role, RoleArn=TARGET, RoleSessionName="me-myself")


def pod():
    session = boto3.Session()
    assert session.get_credentials().method == "container-role", session.get_credentials().method
    arn = boto3.client("sts").get_caller_identity()["Arn"]
    assert arn.startswith("arn:aws:sts::444455556666:assumed-role/eks-pod-identity-aws-resources/eks-"), arn
    s3 = boto3.client("s3")
    assert b"Hello" in s3.get_object(Bucket=BUCKET, Key="hello.txt")["Body"].read()
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["hello.txt"]
    refused("AccessDenied", s3.put_object, Bucket=BUCKET, Key="x", Body=b"x")
    refused("AccessDenied", boto3.client("iam").list_roles)


{"administrator": administrator, "pod": pod}[sys.argv[1]]()
print("boto3", boto3.__version__, "botocore", botocore.__version__, sys.argv[1], "done")
