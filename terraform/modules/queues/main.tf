# The queue that devices send to, and its dead letters. Vigil's relay moves what it cannot read to
# the dead letters itself, with the reason. SQS does so after ten receptions, as a backstop.

resource "aws_kms_key" "this" {
  description             = "${var.name}: events in SQS"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_sqs_queue" "dead_letters" {
  name                              = "${var.name}-events-dead"
  message_retention_seconds         = 1209600
  kms_master_key_id                 = aws_kms_key.this.arn
  kms_data_key_reuse_period_seconds = 3600
}

resource "aws_sqs_queue" "events" {
  name                              = "${var.name}-events"
  message_retention_seconds         = 1209600
  visibility_timeout_seconds        = var.visibility_timeout_s
  receive_wait_time_seconds         = 20
  kms_master_key_id                 = aws_kms_key.this.arn
  kms_data_key_reuse_period_seconds = 3600
  redrive_policy                    = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letters.arn, maxReceiveCount = 10 })
}

resource "aws_sqs_queue_redrive_allow_policy" "this" {
  queue_url            = aws_sqs_queue.dead_letters.id
  redrive_allow_policy = jsonencode({ redrivePermission = "byQueue", sourceQueueArns = [aws_sqs_queue.events.arn] })
}

data "aws_iam_policy_document" "this" {
  for_each = { events = aws_sqs_queue.events.arn, dead_letters = aws_sqs_queue.dead_letters.arn }
  statement {
    sid       = "OnlyEncrypted"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]
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
    sid         = "DevicesOnlySend"
    effect      = "Deny"
    not_actions = each.key == "events" ? ["sqs:SendMessage"] : ["sqs:GetQueueUrl"]
    resources   = [each.value]
    principals {
      type        = "AWS"
      identifiers = [var.device_role_arn]
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  for_each = {
    events       = aws_sqs_queue.events.id
    dead_letters = aws_sqs_queue.dead_letters.id
  }
  queue_url = each.value
  policy    = data.aws_iam_policy_document.this[each.key].json
}

resource "aws_cloudwatch_metric_alarm" "old" {
  alarm_name          = "${var.name}-events-old"
  alarm_description   = "Events wait in SQS: the relay is behind or stopped. See docs/how-to/runbook.md."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.events.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  threshold           = var.oldest_message_s
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-events-dead"
  alarm_description   = "Messages could not be read: vigil dlq list says why. See docs/how-to/runbook.md."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

# Rests on no program of ours: where no site sends anything, or Prometheus is gone, too.
resource "aws_cloudwatch_metric_alarm" "none" {
  count               = var.alarm_without_events ? 1 : 0
  alarm_name          = "${var.name}-events-none"
  alarm_description   = "No device of any site sends events: the hub of the sites, the queue's policy, or the devices' address. See docs/how-to/runbook.md."
  namespace           = "AWS/SQS"
  metric_name         = "NumberOfMessagesSent"
  dimensions          = { QueueName = aws_sqs_queue.events.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
