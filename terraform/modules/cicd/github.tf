# GitHub Actions has no long-lived key. It takes one of these roles by OIDC, and each role names its
# exact subject: a branch or an environment of this repository, without a wildcard.

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  roles = merge(
    {
      # Builds images of a tag, signs and pushes them, and announces the release. GitHub's environment
      # `release` is limited to protected tags: a tag's own subject would need a wildcard.
      build = { subject = "repo:${var.github_repository}:environment:release", policy = data.aws_iam_policy_document.build.json }
      # Plans what main says, and looks for drift: it reads. The environment `plan` is limited to main.
      # A pull request gets no role, because its code would run with it before a person has read it.
      plan = { subject = "repo:${var.github_repository}:environment:plan", policy = data.aws_iam_policy_document.plan.json }
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
  statement {
    sid       = "ReportDrift"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [local.metrics]
    }
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
