set -e

# account 111122223333: trust policy of the Pod Identity role
aws iam create-role --profile 111122223333 --role-name pods --path /shop/ --assume-role-policy-document '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "AllowPodidToAssumeRoleForPodIdentity",
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::111122223333:user/podid"
      },
      "Action": [
        "sts:AssumeRole",
        "sts:TagSession"
      ]
    }
  ]
}'
