mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/a" }
  }
}

variables {
  name                     = "vigil-test"
  region                   = "us-east-1"
  prometheus_workspace_arn = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1"
  alarm_topic_arns         = ["arn:aws:sns:us-east-1:123456789012:alarms"]
}

run "logs_are_bounded_and_go_to_the_group_that_ends" {
  command = apply
  assert {
    condition     = strcontains(aws_eks_addon.cloudwatch.configuration_values, "log_group_name      /aws/containerinsights/vigil-test/application")
    error_message = "Logs go to the group that has a retention."
  }
  assert {
    condition     = strcontains(aws_eks_addon.cloudwatch.configuration_values, "auto_create_group   false")
    error_message = "A group that Fluent Bit made would keep logs for ever."
  }
  assert {
    condition     = strcontains(aws_eks_addon.cloudwatch.configuration_values, "Rate                500")
    error_message = "A program that logs without an end must not cost without an end."
  }
  assert {
    condition     = alltrue([for namespace in ["vigil", "vigil-inference", "monitoring"] : strcontains(aws_eks_addon.cloudwatch.configuration_values, "/var/log/containers/*_${namespace}_*.log")])
    error_message = "All namespaces of the chart are read."
  }
}

run "alarms_of_the_cluster_reach_people" {
  command = apply
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.cluster) == 3 && alltrue([for alarm in aws_cloudwatch_metric_alarm.cluster : length(alarm.alarm_actions) == 1])
    error_message = "Each alarm is sent to the topic."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.cluster["nodes-failed"].treat_missing_data == "breaching"
    error_message = "Without the agent no one would see a node that fails."
  }
}
