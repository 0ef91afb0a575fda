mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/a" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/1" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:alarms" }
  }
}

variables {
  name         = "vigil-test"
  alarm_emails = ["operations@example.com"]
}

run "logs_end_and_are_encrypted" {
  command = plan
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.programs : group.retention_in_days == 30])
    error_message = "Logs without an end cost for ever."
  }
}

run "plain_http_is_refused" {
  command = plan
  variables {
    alarm_webhooks = ["http://example.com/alarm"]
  }
  expect_failures = [var.alarm_webhooks]
}
