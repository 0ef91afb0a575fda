# Made once for each account, by a person, with a local state that is then moved into the bucket
# (docs/how-to/install.md): the bucket of states, its key, and the roles that plan and apply.

locals {
  name = "vigil-${var.environment}"
}

resource "aws_kms_key" "state" {
  description             = "${local.name}: states of Terraform"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "state" {
  name          = "alias/${local.name}-state"
  target_key_id = aws_kms_key.state.key_id
}

resource "aws_s3_bucket" "state" {
  # checkov:skip=CKV_AWS_18: it is the account's first bucket: no bucket for logs exists before it
  bucket = "${local.name}-state-${var.account_id}"
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.state.arn
    }
  }
}

# Old versions of a state are its backups. Lock files leave versions behind, too.
resource "aws_s3_bucket_lifecycle_configuration" "state" {
  bucket = aws_s3_bucket.state.id
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days           = 365
      newer_noncurrent_versions = 50
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
  rule {
    id     = "plans"
    status = "Enabled"
    filter {
      prefix = "plans/"
    }
    expiration {
      days = 30
    }
  }
}

data "aws_iam_policy_document" "state" {
  statement {
    sid       = "OnlyEncrypted"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.state.arn, "${aws_s3_bucket.state.arn}/*"]
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
  # A lock is deleted after each run. A state, and a version of it, never is.
  statement {
    sid           = "StatesAreNotDeleted"
    effect        = "Deny"
    actions       = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    not_resources = ["${aws_s3_bucket.state.arn}/*.tflock"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }
}

resource "aws_s3_bucket_policy" "state" {
  bucket     = aws_s3_bucket.state.id
  policy     = data.aws_iam_policy_document.state.json
  depends_on = [aws_s3_bucket_public_access_block.state]
}

# What no role made by Terraform may ever do: open this account, or switch off its records.
data "aws_iam_policy_document" "boundary" {
  # checkov:skip=CKV_AWS_1: a boundary grants nothing: it is the most that a role's own policies can grant
  # checkov:skip=CKV_AWS_49: the same
  # checkov:skip=CKV_AWS_107: the same
  # checkov:skip=CKV_AWS_108: the same
  # checkov:skip=CKV_AWS_109: the same
  # checkov:skip=CKV_AWS_110: the same
  # checkov:skip=CKV_AWS_111: the same
  # checkov:skip=CKV_AWS_356: the same
  statement {
    sid       = "Everything"
    actions   = ["*"]
    resources = ["*"]
  }
  statement {
    sid    = "NotThese"
    effect = "Deny"
    actions = [
      "account:*", "organizations:*", "iam:CreateUser", "iam:CreateAccessKey", "iam:CreateLoginProfile",
      "iam:DeleteRolePermissionsBoundary", "cloudtrail:StopLogging", "cloudtrail:DeleteTrail",
      "kms:ScheduleKeyDeletion", "s3:PutBucketPublicAccessBlock", "s3:PutAccountPublicAccessBlock",
      "backup:DeleteRecoveryPoint", "rds:DeleteDBInstance", "kafka:DeleteCluster",
    ]
    resources = ["*"]
    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::${var.account_id}:role/vigil-apply"]
    }
  }
}

resource "aws_iam_policy" "boundary" {
  name   = "vigil-boundary"
  policy = var.permissions_boundary_json == "" ? data.aws_iam_policy_document.boundary.json : var.permissions_boundary_json
}

locals {
  takers = {
    plan  = "arn:aws:iam::${var.delivery_account_id}:role/vigil-github-plan"
    apply = "arn:aws:iam::${var.delivery_account_id}:role/vigil-github-apply-${var.environment}"
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.takers
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.delivery_account_id}:root"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = [each.value]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each             = local.takers
  name                 = "vigil-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  permissions_boundary = aws_iam_policy.boundary.arn
}

# The plan role reads everything but secrets, and takes the lock.
resource "aws_iam_role_policy_attachment" "plan" {
  role       = aws_iam_role.this["plan"].name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}

data "aws_iam_policy_document" "plan" {
  statement {
    sid       = "Lock"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.state.arn}/*.tflock"]
  }
  # A plan waits there for its approval, under its hash.
  statement {
    sid       = "Plans"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.state.arn}/plans/*"]
  }
  statement {
    sid       = "StateKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.state.arn]
  }
  statement {
    sid       = "NoSecretsAndNoFootage"
    effect    = "Deny"
    actions   = ["secretsmanager:GetSecretValue", "ssm:GetParameterHistory", "sqs:ReceiveMessage"]
    resources = ["*"]
  }
  statement {
    sid           = "NoObjectsButStates"
    effect        = "Deny"
    actions       = ["s3:GetObject", "s3:GetObjectVersion"]
    not_resources = ["${aws_s3_bucket.state.arn}/*"]
  }
}

resource "aws_iam_role_policy" "plan" {
  name   = "plan"
  role   = aws_iam_role.this["plan"].id
  policy = data.aws_iam_policy_document.plan.json
}

resource "aws_iam_role_policy_attachment" "apply" {
  # checkov:skip=CKV_AWS_274: it makes all roles of the account, inside the boundary, from plans that a person approved
  role       = aws_iam_role.this["apply"].name
  policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess"
}
