# What installs a release in one environment: a CodeBuild project in its VPC. It runs `make deploy`
# with the digests of the release. The pipeline (module cicd) starts it from the account of delivery.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

resource "aws_security_group" "this" {
  name        = "${var.name}-deploy"
  description = "The project that installs releases"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-deploy" }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "The Kubernetes API and AWS's APIs"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

data "aws_iam_policy_document" "build_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["codebuild.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "build" {
  name               = "${var.name}-deploy"
  assume_role_policy = data.aws_iam_policy_document.build_trust.json
}

data "aws_iam_policy_document" "build" {
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
  statement {
    sid       = "Artifacts"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${var.artifact_bucket_arn}/*"]
  }
  statement {
    sid       = "ArtifactKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.artifact_kms_key_arn]
  }
  statement {
    sid       = "Login"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
  statement {
    sid       = "Pull"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:DescribeImages"]
    resources = var.repository_arns
  }
  statement {
    sid       = "Cluster"
    actions   = ["eks:DescribeCluster"]
    resources = ["arn:aws:eks:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:cluster/${var.name}"]
  }
  statement {
    sid       = "Parameters"
    actions   = ["ssm:GetParameter", "ssm:GetParametersByPath"]
    resources = ["arn:aws:ssm:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:parameter/vigil/${var.name}/*"]
  }
  statement {
    sid       = "Approvals"
    actions   = ["sts:AssumeRole"]
    resources = ["arn:aws:iam::${var.pipeline_account_id}:role/vigil-pipeline-approvals"]
  }
  # CodeBuild makes network interfaces in our subnets. AWS has no narrower form of this.
  statement {
    sid = "Network"
    actions = [
      "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeDhcpOptions",
      "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
    ]
    resources = ["*"]
  }
  statement {
    sid       = "NetworkPermission"
    actions   = ["ec2:CreateNetworkInterfacePermission"]
    resources = ["arn:aws:ec2:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:network-interface/*"]
    condition {
      test     = "StringEquals"
      variable = "ec2:AuthorizedService"
      values   = ["codebuild.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "build" {
  name   = "deploy"
  role   = aws_iam_role.build.id
  policy = data.aws_iam_policy_document.build.json
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/vigil/${var.name}/deploy"
  retention_in_days = 365
  kms_key_id        = var.log_kms_key_arn
}

resource "aws_codebuild_project" "this" {
  name                   = "${var.name}-deploy"
  description            = "Installs a release in ${var.name}"
  service_role           = aws_iam_role.build.arn
  build_timeout          = 60
  concurrent_build_limit = 1
  encryption_key         = var.artifact_kms_key_arn

  artifacts {
    type = "CODEPIPELINE"
  }

  source {
    type      = "CODEPIPELINE"
    buildspec = "deploy/buildspec.yaml"
  }

  environment {
    compute_type    = "BUILD_GENERAL1_SMALL"
    type            = "ARM_CONTAINER"
    image           = var.image
    privileged_mode = false
    environment_variable {
      name  = "VIGIL_CLUSTER"
      value = var.name
    }
    environment_variable {
      name  = "VIGIL_ENVIRONMENT"
      value = var.environment
    }
    environment_variable {
      name  = "VIGIL_REGISTRY"
      value = "${var.pipeline_account_id}.dkr.ecr.${data.aws_region.current.name}.amazonaws.com"
    }
    # Images of another workflow, of another repository or of a branch are refused.
    environment_variable {
      name  = "VIGIL_BUILDER"
      value = "https://github.com/${var.github_repository}/.github/workflows/release.yaml@refs/tags/v"
    }
    environment_variable {
      name  = "VIGIL_APPROVALS_ROLE"
      value = "arn:aws:iam::${var.pipeline_account_id}:role/vigil-pipeline-approvals"
    }
    environment_variable {
      name  = "VIGIL_SIGNING_KEY"
      type  = "PARAMETER_STORE"
      value = var.signing_key_parameter
    }
  }

  vpc_config {
    vpc_id             = var.vpc_id
    subnets            = values(var.subnet_ids)
    security_group_ids = [aws_security_group.this.id]
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.this.name
    }
  }
}

# The pipeline takes this role. It can start this project, and nothing else.
data "aws_iam_policy_document" "start_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.pipeline_account_id}:root"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::${var.pipeline_account_id}:role/vigil-pipeline"]
    }
  }
}

resource "aws_iam_role" "start" {
  name               = "${var.name}-deploy-start"
  assume_role_policy = data.aws_iam_policy_document.start_trust.json
}

data "aws_iam_policy_document" "start" {
  # checkov:skip=CKV_AWS_356: cloudwatch:DescribeAlarms knows no resources
  statement {
    sid       = "Start"
    actions   = ["codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"]
    resources = [aws_codebuild_project.this.arn]
  }
  statement {
    sid       = "Artifacts"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${var.artifact_bucket_arn}/*"]
  }
  statement {
    sid       = "ArtifactKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.artifact_kms_key_arn]
  }
  statement {
    sid       = "Alarms"
    actions   = ["cloudwatch:DescribeAlarms"]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "start" {
  name   = "start"
  role   = aws_iam_role.start.id
  policy = data.aws_iam_policy_document.start.json
}
