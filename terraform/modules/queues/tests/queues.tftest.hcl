mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-east-1:123456789012:queue" }
  }
}

variables {
  name             = "vigil-test"
  device_role_arn  = "arn:aws:iam::123456789012:role/vigil-test-device"
  alarm_topic_arns = ["arn:aws:sns:us-east-1:123456789012:alarms"]
}

run "encrypted_with_dead_letters" {
  command = apply
  assert {
    condition     = aws_sqs_queue.events.kms_master_key_id != null && aws_sqs_queue.dead_letters.kms_master_key_id != null
    error_message = "Both queues are encrypted with our key."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.events.redrive_policy).maxReceiveCount == 10
    error_message = "A message that nobody can handle must not come for ever."
  }
  assert {
    condition     = aws_sqs_queue.events.message_retention_seconds == 1209600
    error_message = "Events are kept as long as SQS can: 14 days."
  }
}

run "silence_is_an_alarm_where_sites_send" {
  command = plan
  variables {
    alarm_without_events = true
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.none[0].treat_missing_data == "breaching"
    error_message = "A queue that no one writes to has no metric."
  }
}

run "silence_is_no_alarm_before_the_first_site" {
  command = plan
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.none) == 0
    error_message = "An installation without sites is silent."
  }
}
