set -e

# account 111122223333: trust policy of the Pod Identity role
aws iam update-assume-role-policy --profile 111122223333 --role-name pods --policy-document '{
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
}'

# account 111122223333: permission policy "assume-target-role" of the Pod Identity role
aws iam put-role-policy --profile 111122223333 --role-name pods --policy-name assume-target-role --policy-document '{
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
}'

# account 444455556666: trust policy of the target role
aws iam update-assume-role-policy --profile 'data team' --role-name orders-data --policy-document '{
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
}'
