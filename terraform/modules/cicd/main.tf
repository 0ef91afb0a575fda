# From a release to production. GitHub Actions tests, builds, scans and signs. It writes the digests of
# a release to the bucket. That starts this pipeline, which installs the same digests in dev, staging
# and, after a person's approval, in production. Nothing else installs a release.

data "aws_caller_identity" "current" {}

resource "aws_kms_key" "artifacts" {
  description             = "vigil: releases and artifacts of the pipeline"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.artifact_key.json
}

data "aws_iam_policy_document" "artifact_key" {
  # checkov:skip=CKV_AWS_109: a key's policy: * is this key
  # checkov:skip=CKV_AWS_111: the same
  # checkov:skip=CKV_AWS_356: the same
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
  statement {
    sid       = "Targets"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = [for target in var.targets : target.start_role_arn]
    }
  }
}

# Signatures of images. The private part never leaves KMS.
resource "aws_kms_key" "signing" {
  description              = "vigil: signatures of images"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_P256"
  deletion_window_in_days  = 30
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket" "releases" {
  # checkov:skip=CKV_AWS_18: what is in it is signed, and versions stay; the delivery account has no bucket for logs
  bucket = "vigil-releases-${data.aws_caller_identity.current.account_id}"
}

resource "aws_s3_bucket_versioning" "releases" {
  bucket = aws_s3_bucket.releases.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "releases" {
  bucket                  = aws_s3_bucket.releases.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "releases" {
  bucket = aws_s3_bucket.releases.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.artifacts.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "releases" {
  bucket = aws_s3_bucket.releases.id
  rule {
    id     = "expire-artifacts"
    status = "Enabled"
    filter {
      prefix = "vigil/"
    }
    expiration {
      days = 90
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }
  rule {
    id     = "abort-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

data "aws_iam_policy_document" "releases" {
  statement {
    sid       = "OnlyEncrypted"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.releases.arn, "${aws_s3_bucket.releases.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
  statement {
    sid       = "Targets"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.releases.arn}/*"]
    principals {
      type        = "AWS"
      identifiers = [for target in var.targets : target.start_role_arn]
    }
  }
}

resource "aws_s3_bucket_policy" "releases" {
  bucket = aws_s3_bucket.releases.id
  policy = data.aws_iam_policy_document.releases.json
}

data "aws_iam_policy_document" "pipeline_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["codepipeline.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "pipeline" {
  name               = "vigil-pipeline"
  assume_role_policy = data.aws_iam_policy_document.pipeline_trust.json
}

data "aws_iam_policy_document" "pipeline" {
  statement {
    sid       = "Targets"
    actions   = ["sts:AssumeRole"]
    resources = [for target in var.targets : target.start_role_arn]
  }
  statement {
    sid       = "Releases"
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    resources = ["${aws_s3_bucket.releases.arn}/*"]
  }
  statement {
    sid       = "Bucket"
    actions   = ["s3:GetBucketVersioning", "s3:GetBucketLocation", "s3:ListBucket"]
    resources = [aws_s3_bucket.releases.arn]
  }
  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.artifacts.arn]
  }
  statement {
    sid       = "Approval"
    actions   = ["sns:Publish"]
    resources = [var.approval_topic_arn]
  }
}

resource "aws_iam_role_policy" "pipeline" {
  name   = "pipeline"
  role   = aws_iam_role.pipeline.id
  policy = data.aws_iam_policy_document.pipeline.json
}

# An approval is a stage of its own, before the stage that installs: a rollback repeats a stage, and must
# not wait for a person.
locals {
  stages = flatten([
    for target in var.targets : [
      for approves in target.approval ? [true, false] : [false] : merge(target, {
        name     = approves ? "${target.environment}-approval" : target.environment
        approves = approves
      })
    ]
  ])
}

# The freeze switch closes the transition into a stage: `make freeze` (docs/how-to/release.md).
resource "aws_codepipeline" "this" {
  name           = "vigil"
  pipeline_type  = "V2"
  execution_mode = "QUEUED"
  role_arn       = aws_iam_role.pipeline.arn

  artifact_store {
    type     = "S3"
    location = aws_s3_bucket.releases.bucket
    encryption_key {
      type = "KMS"
      id   = aws_kms_key.artifacts.arn
    }
  }

  stage {
    name = "release"
    action {
      name             = "digests"
      category         = "Source"
      owner            = "AWS"
      provider         = "S3"
      version          = "1"
      output_artifacts = ["release"]
      configuration = {
        S3Bucket             = aws_s3_bucket.releases.bucket
        S3ObjectKey          = "releases/current.zip"
        PollForSourceChanges = "false"
      }
    }
  }

  dynamic "stage" {
    for_each = local.stages
    content {
      name = stage.value.name

      dynamic "action" {
        for_each = stage.value.approves ? [1] : []
        content {
          name     = "approve"
          category = "Approval"
          owner    = "AWS"
          provider = "Manual"
          version  = "1"
          configuration = {
            NotificationArn = var.approval_topic_arn
            CustomData      = "A release waits for ${stage.value.environment}. It runs in staging."
          }
        }
      }

      dynamic "action" {
        for_each = stage.value.approves ? [] : [1]
        content {
          name            = "install"
          category        = "Build"
          owner           = "AWS"
          provider        = "CodeBuild"
          version         = "1"
          role_arn        = stage.value.start_role_arn
          input_artifacts = ["release"]
          configuration = {
            ProjectName = stage.value.project_name
            EnvironmentVariables = jsonencode([
              { name = "VIGIL_PIPELINE_EXECUTION", value = "#{codepipeline.PipelineExecutionId}", type = "PLAINTEXT" },
            ])
          }
        }
      }

      # No release enters an environment that is in trouble already.
      dynamic "before_entry" {
        for_each = stage.value.approves ? [] : [1]
        content {
          condition {
            result = "FAIL"
            dynamic "rule" {
              for_each = { for index, alarm in stage.value.alarm_names : tostring(index) => alarm }
              content {
                name     = "quiet-${rule.key}"
                role_arn = stage.value.start_role_arn
                rule_type_id {
                  category = "Rule"
                  owner    = "AWS"
                  provider = "CloudWatchAlarm"
                  version  = "1"
                }
                configuration = {
                  AlarmName   = rule.value
                  WaitTime    = "1"
                  AlarmStates = "ALARM"
                }
              }
            }
          }
        }
      }

      # An alarm within half an hour after the installation brings the release before it back.
      dynamic "on_success" {
        for_each = stage.value.approves ? [] : [1]
        content {
          condition {
            result = "ROLLBACK"
            dynamic "rule" {
              for_each = { for index, alarm in stage.value.alarm_names : tostring(index) => alarm }
              content {
                name     = "stays-quiet-${rule.key}"
                role_arn = stage.value.start_role_arn
                rule_type_id {
                  category = "Rule"
                  owner    = "AWS"
                  provider = "CloudWatchAlarm"
                  version  = "1"
                }
                configuration = {
                  AlarmName   = rule.value
                  WaitTime    = "30"
                  AlarmStates = "ALARM"
                }
              }
            }
          }
        }
      }

      dynamic "on_failure" {
        for_each = stage.value.approves ? [] : [1]
        content {
          result = "ROLLBACK"
        }
      }
    }
  }
}

# A new release starts the pipeline.
data "aws_iam_policy_document" "start_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "start" {
  name               = "vigil-pipeline-start"
  assume_role_policy = data.aws_iam_policy_document.start_trust.json
}

data "aws_iam_policy_document" "start" {
  statement {
    actions   = ["codepipeline:StartPipelineExecution"]
    resources = [aws_codepipeline.this.arn]
  }
}

resource "aws_iam_role_policy" "start" {
  name   = "start"
  role   = aws_iam_role.start.id
  policy = data.aws_iam_policy_document.start.json
}

resource "aws_s3_bucket_notification" "releases" {
  bucket      = aws_s3_bucket.releases.id
  eventbridge = true
}

resource "aws_cloudwatch_event_rule" "release" {
  name = "vigil-release"
  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail      = { bucket = { name = [aws_s3_bucket.releases.bucket] }, object = { key = ["releases/current.zip"] } }
  })
}

resource "aws_cloudwatch_event_target" "release" {
  rule     = aws_cloudwatch_event_rule.release.name
  arn      = aws_codepipeline.this.arn
  role_arn = aws_iam_role.start.arn
}
