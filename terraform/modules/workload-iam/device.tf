# The role that a device's credentials come from. The device address (link) assumes it for one hour,
# with the device's tenant and site as session tags and with a session policy of its own. So the limit
# holds twice: by the tags here, and by the session policy. A new site changes nothing here.

data "aws_iam_policy_document" "device" {
  statement {
    sid       = "CreateOwnFragments"
    actions   = ["s3:PutObject"]
    resources = ["${var.video_bucket_arn}/fragments/$${aws:PrincipalTag/tenant}/$${aws:PrincipalTag/site}/*"]
    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["false"]
    }
  }
  statement {
    sid       = "Key"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.video_kms_key_arn]
  }
  statement {
    sid       = "SendEvents"
    actions   = ["sqs:SendMessage"]
    resources = [var.events_queue_arn]
  }
  statement {
    sid       = "QueueKey"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.queue_kms_key_arn]
  }
}

resource "aws_iam_role" "device" {
  name                 = "${var.name}-device"
  max_session_duration = 3600
  # Written by hand: the role and its trust would otherwise wait for each other.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LinkOnly"
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:root" }
      Condition = {
        ArnEquals  = { "aws:PrincipalArn" = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:role/${var.name}-link" }
        StringLike = { "aws:RequestTag/tenant" = "?*", "aws:RequestTag/site" = "?*" }
      }
    }]
  })
}

data "aws_caller_identity" "current" {}

resource "aws_iam_role_policy" "device" {
  name   = "vigil"
  role   = aws_iam_role.device.id
  policy = data.aws_iam_policy_document.device.json
}
