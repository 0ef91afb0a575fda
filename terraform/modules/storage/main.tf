# Buckets: footage, heads of the audit log, logs. All are encrypted, versioned and closed.
#
# Who deletes what: Vigil deletes footage by its retention rules and holds, by version id. S3's
# lifecycle never expires a current object. It removes what Vigil left half done: multipart uploads
# and noncurrent versions, after one day. So a legal hold cannot be overruled by a lifecycle rule.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

resource "aws_kms_key" "video" {
  description             = "${var.name}: footage"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "video" {
  name          = "alias/${var.name}-video"
  target_key_id = aws_kms_key.video.key_id
}

locals {
  buckets = {
    video = "${var.name}-video-${var.suffix}"
    audit = "${var.name}-audit-${var.suffix}"
    logs  = "${var.name}-logs-${var.suffix}"
  }
  # From the names, so that policies are known before the buckets exist: a test evaluates them.
  arns = { for name, bucket in local.buckets : name => "arn:${data.aws_partition.current.partition}:s3:::${bucket}" }
}

resource "aws_s3_bucket" "video" {
  bucket              = local.buckets.video
  object_lock_enabled = var.object_lock
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket" "audit" {
  # checkov:skip=CKV2_AWS_61: a head of the audit log never expires
  bucket              = local.buckets.audit
  object_lock_enabled = true
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket" "logs" {
  # checkov:skip=CKV_AWS_145: load balancers and S3 can write logs to SSE-S3 only
  bucket = local.buckets.logs
}

locals {
  all = { video = aws_s3_bucket.video, audit = aws_s3_bucket.audit, logs = aws_s3_bucket.logs }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each                = local.all
  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.all
  bucket   = each.value.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.all
  bucket   = each.value.id
  versioning_configuration {
    status = "Enabled"
  }
}

# A bucket key: one call to KMS for many objects. Without it KMS would cost more than the requests.
resource "aws_s3_bucket_server_side_encryption_configuration" "kms" {
  for_each = { video = aws_s3_bucket.video.id, audit = aws_s3_bucket.audit.id }
  bucket   = each.value
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.video.arn
    }
  }
}

# AWS's log delivery writes here, with S3's own keys.
resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "video" {
  bucket                                 = aws_s3_bucket.video.id
  transition_default_minimum_object_size = "all_storage_classes_128K"
  rule {
    id     = "remove-what-was-left"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }
  # Markers without versions behind them: lists would grow slower with each day.
  rule {
    id     = "remove-empty-markers"
    status = "Enabled"
    filter {}
    expiration {
      expired_object_delete_marker = true
    }
  }
  dynamic "rule" {
    for_each = var.cold_after_days > 0 ? [var.cold_after_days] : []
    content {
      id     = "cold-chunks"
      status = "Enabled"
      filter {
        prefix = "chunks/"
      }
      transition {
        days          = rule.value
        storage_class = "GLACIER_IR"
      }
    }
  }
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id
  rule {
    id     = "expire"
    status = "Enabled"
    filter {}
    expiration {
      days = var.log_days
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_object_lock_configuration" "audit" {
  bucket = aws_s3_bucket.audit.id
  rule {
    default_retention {
      mode = var.audit_lock_mode
      days = var.audit_lock_days
    }
  }
}

resource "aws_s3_bucket_logging" "video" {
  for_each      = { video = aws_s3_bucket.video.id, audit = aws_s3_bucket.audit.id }
  bucket        = each.value
  target_bucket = aws_s3_bucket.logs.id
  target_prefix = "s3/${each.key}/"
}
