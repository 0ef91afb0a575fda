# GitHub Actions has no long-lived key. It takes one of these roles by OIDC, and each role names its
# exact subject: a branch or an environment of this repository, without a wildcard.

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  roles = merge(
    {
      # Builds images on main, signs and pushes them, and announces the release.
      build = { subject = "repo:${var.github_repository}:ref:refs/heads/main", policy = data.aws_iam_policy_document.build.json }
      # Plans for pull requests: it reads.
      plan = { subject = "repo:${var.github_repository}:pull_request", policy = data.aws_iam_policy_document.plan.json }
    },
    {
      # Applies a plan that was approved, in one environment.
      for environment, role in var.apply_role_arns : "apply-${environment}" => {
        subject = "repo:${var.github_repository}:environment:${environment}"
        policy  = data.aws_iam_policy_document.apply[environment].json
      }
    },
  )
}

data "aws_iam_policy_document" "github_trust" {
  for_each = local.roles
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = [each.value.subject]
    }
  }
}

data "aws_iam_policy_document" "build" {
  statement {
    sid       = "Login"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
  statement {
    sid = "Push"
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = var.repository_arns
  }
  statement {
    sid       = "Sign"
    actions   = ["kms:Sign", "kms:GetPublicKey", "kms:DescribeKey"]
    resources = [aws_kms_key.signing.arn]
  }
  statement {
    sid       = "Release"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.releases.arn}/releases/*"]
  }
  statement {
    sid       = "ReleaseKey"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [aws_kms_key.artifacts.arn]
  }
}

data "aws_iam_policy_document" "plan" {
  statement {
    sid       = "Plan"
    actions   = ["sts:AssumeRole"]
    resources = var.plan_role_arns
  }
}

data "aws_iam_policy_document" "apply" {
  for_each = var.apply_role_arns
  statement {
    sid       = "Apply"
    actions   = ["sts:AssumeRole"]
    resources = [each.value]
  }
}

resource "aws_iam_role" "github" {
  for_each             = local.roles
  name                 = "vigil-github-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.github_trust[each.key].json
  permissions_boundary = var.permissions_boundary_arn
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "github" {
  for_each = local.roles
  name     = "vigil"
  role     = aws_iam_role.github[each.key].id
  policy   = each.value.policy
}
