# What a platform team writes for one service account.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  skip_metadata_api_check = true
}

variable "stage" {}

data "aws_caller_identity" "me" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "app" {
  name               = "terraform-app"
  path               = "/apps/"
  description        = "stage ${var.stage}"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = { stage = var.stage }
}

resource "aws_iam_role_policy" "inline" {
  name = "list"
  role = aws_iam_role.app.name
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "s3:ListAllMyBuckets", Resource = "*", Sid = title(var.stage) }]
  })
}

resource "aws_iam_policy" "managed" {
  name = "terraform-managed"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "s3:GetObject", Resource = "arn:aws:s3:::bucket-${var.stage}/*" }]
  })
}

resource "aws_iam_role_policy_attachment" "managed" {
  role       = aws_iam_role.app.name
  policy_arn = aws_iam_policy.managed.arn
}

resource "aws_iam_user" "ci" {
  name = "terraform-ci"
  tags = { stage = var.stage }
}

resource "aws_iam_user_policy" "ci" {
  user   = aws_iam_user.ci.name
  name   = "eks"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "eks:*", Resource = "*" }] })
}

resource "aws_iam_access_key" "ci" {
  user = aws_iam_user.ci.name
}

resource "aws_eks_pod_identity_association" "app" {
  cluster_name    = "example-cluster"
  namespace       = "apps"
  service_account = "terraform"
  role_arn        = aws_iam_role.app.arn
  tags            = { stage = var.stage }
}

output "association" {
  value = aws_eks_pod_identity_association.app.association_id
}
