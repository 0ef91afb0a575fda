# Each night GitHub plans every state (workflow `drift`). It reports 0, or 1 where AWS differs from main.
# A plan that failed reports nothing, so the number of reports is watched, too.

locals {
  metrics = "Vigil/Delivery"
}

data "aws_iam_policy_document" "alarm_key" {
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
  # An alarm cannot publish to a topic that is encrypted with AWS's own key.
  statement {
    sid       = "Alarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_kms_key" "alarms" {
  description             = "vigil: alarms of delivery"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.alarm_key.json
}

resource "aws_sns_topic" "alarms" {
  name              = "vigil-delivery-alarms"
  kms_master_key_id = aws_kms_key.alarms.arn
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each  = toset(var.alarm_emails)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "drift" {
  alarm_name          = "vigil-drift"
  alarm_description   = "AWS differs from what main says. The workflow drift shows the plan. See docs/how-to/release.md."
  namespace           = local.metrics
  metric_name         = "Drift"
  statistic           = "Maximum"
  period              = 86400
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "drift_unknown" {
  alarm_name          = "vigil-drift-unknown"
  alarm_description   = "Not every state was planned in the last day: a run of the workflow drift failed. See docs/how-to/release.md."
  namespace           = local.metrics
  metric_name         = "Drift"
  statistic           = "SampleCount"
  period              = 86400
  evaluation_periods  = 1
  threshold           = var.state_count
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
