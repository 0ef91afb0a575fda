data "aws_iam_policy_document" "tls_only" {
  for_each = local.arns
  statement {
    sid       = "OnlyEncrypted"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value, "${each.value}/*"]
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
    sid       = "NoOldTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value, "${each.value}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "NumericLessThan"
      variable = "s3:TlsVersion"
      values   = ["1.2"]
    }
  }
}

data "aws_iam_policy_document" "video" {
  source_policy_documents = [data.aws_iam_policy_document.tls_only["video"].json]
  # A device may do one thing: create an object that does not exist, among its site's fragments.
  statement {
    sid         = "DevicesOnlyCreate"
    effect      = "Deny"
    not_actions = ["s3:PutObject"]
    resources   = [local.arns.video, "${local.arns.video}/*"]
    principals {
      type        = "AWS"
      identifiers = [var.device_role_arn]
    }
  }
  statement {
    sid           = "DevicesOnlyFragments"
    effect        = "Deny"
    actions       = ["s3:PutObject"]
    not_resources = ["${local.arns.video}/fragments/*"]
    principals {
      type        = "AWS"
      identifiers = [var.device_role_arn]
    }
  }
  statement {
    sid       = "DevicesNeverOverwrite"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${local.arns.video}/*"]
    principals {
      type        = "AWS"
      identifiers = [var.device_role_arn]
    }
    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }
  }
  dynamic "statement" {
    for_each = var.sites_endpoint_id == "" ? [] : [var.sites_endpoint_id]
    content {
      sid       = "DevicesThroughTheVpn"
      effect    = "Deny"
      actions   = ["s3:*"]
      resources = [local.arns.video, "${local.arns.video}/*"]
      principals {
        type        = "AWS"
        identifiers = [var.device_role_arn]
      }
      condition {
        test     = "StringNotEquals"
        variable = "aws:SourceVpce"
        values   = [statement.value]
      }
    }
  }
}

data "aws_iam_policy_document" "logs" {
  source_policy_documents = [data.aws_iam_policy_document.tls_only["logs"].json]
  statement {
    sid       = "AccessLogs"
    actions   = ["s3:PutObject"]
    resources = ["${local.arns.logs}/s3/*"]
    principals {
      type        = "Service"
      identifiers = ["logging.s3.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
  statement {
    sid       = "FlowLogs"
    actions   = ["s3:PutObject"]
    resources = ["${local.arns.logs}/flow-logs/*"]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
  statement {
    sid       = "FlowLogsAcl"
    actions   = ["s3:GetBucketAcl", "s3:ListBucket"]
    resources = [local.arns.logs]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = {
    video = data.aws_iam_policy_document.video.json
    audit = data.aws_iam_policy_document.tls_only["audit"].json
    logs  = data.aws_iam_policy_document.logs.json
  }
  bucket     = local.all[each.key].id
  policy     = each.value
  depends_on = [aws_s3_bucket_public_access_block.this]
}
