provider "aws" {
  alias   = "account_111122223333"
  region  = "eu-central-1"
  profile = "111122223333"
}

provider "aws" {
  alias   = "account_444455556666"
  region  = "eu-central-1"
  profile = "data team"
}

import {
  provider = aws.account_111122223333
  to       = aws_iam_role.pod_identity
  id       = "pods"
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
  role     = "pods"
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

import {
  provider = aws.account_444455556666
  to       = aws_iam_role.target
  id       = "orders-data"
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
            "sts:AssumeRole"
          ],
          "Condition": {
            "ArnEquals": {
              "aws:PrincipalArn": "arn:aws:iam::111122223333:role/shop/pods"
            },
            "StringEquals": {
              "sts:ExternalId": "eu-central-1/111122223333/prod/shop/orders"
            }
          }
        },
        {
          "Sid": "AllowSessionTags",
          "Effect": "Allow",
          "Principal": {
            "AWS": "arn:aws:iam::111122223333:root"
          },
          "Action": [
            "sts:TagSession"
          ],
          "Condition": {
            "ArnEquals": {
              "aws:PrincipalArn": "arn:aws:iam::111122223333:role/shop/pods"
            }
          }
        }
      ]
    }
  JSON
}
