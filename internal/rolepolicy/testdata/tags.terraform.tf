provider "aws" {
  alias   = "account_111122223333"
  region  = "eu-central-1"
  profile = "111122223333"
}

provider "aws" {
  alias   = "account_444455556666"
  region  = "eu-central-1"
  profile = "444455556666"
}

resource "aws_iam_role" "pod_identity" {
  provider           = aws.account_111122223333
  name               = "pods"
  path               = "/shop/"
  assume_role_policy = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "AllowEksAuthToAssumeRoleForPodIdentity",
          "Effect": "Allow",
          "Principal": {
            "Service": "pods.eks.amazonaws.com"
          },
          "Action": [
            "sts:AssumeRole",
            "sts:TagSession"
          ],
          "Condition": {
            "ArnEquals": {
              "aws:SourceArn": "arn:aws:eks:eu-central-1:111122223333:cluster/prod"
            },
            "StringEquals": {
              "aws:SourceAccount": "111122223333"
            }
          }
        }
      ]
    }
  JSON
}

resource "aws_iam_role_policy" "pod_identity" {
  provider = aws.account_111122223333
  role     = aws_iam_role.pod_identity.id
  name     = "assume-target-role"
  policy   = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "AllowAssumeTargetRole",
          "Effect": "Allow",
          "Action": [
            "sts:AssumeRole",
            "sts:TagSession"
          ],
          "Resource": "arn:aws:iam::444455556666:role/orders-data"
        }
      ]
    }
  JSON
}

resource "aws_iam_role" "target" {
  provider           = aws.account_444455556666
  name               = "orders-data"
  path               = "/"
  assume_role_policy = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "AllowPodIdentityRole",
          "Effect": "Allow",
          "Principal": {
            "AWS": "arn:aws:iam::111122223333:root"
          },
          "Action": [
            "sts:AssumeRole",
            "sts:TagSession"
          ],
          "Condition": {
            "ArnEquals": {
              "aws:PrincipalArn": "arn:aws:iam::111122223333:role/shop/pods"
            },
            "StringEquals": {
              "aws:RequestTag/eks-cluster-arn": "arn:aws:eks:eu-central-1:111122223333:cluster/prod",
              "aws:RequestTag/kubernetes-namespace": "shop",
              "aws:RequestTag/kubernetes-service-account": "orders"
            }
          }
        }
      ]
    }
  JSON
}
