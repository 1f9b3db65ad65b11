provider "aws" {
  alias   = "account_111122223333"
  region  = "eu-central-1"
  profile = "111122223333"
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
    }
  JSON
}
