output "alarm_topic_arn" {
  description = "Topic of all alarms."
  value       = aws_sns_topic.alarms.arn
}

output "kms_key_arn" {
  description = "Key of logs and alarms."
  value       = aws_kms_key.this.arn
}

output "remote_write_url" {
  description = "Address to which Prometheus writes."
  value       = "${aws_prometheus_workspace.this.prometheus_endpoint}api/v1/remote_write"
}

output "prometheus_workspace_arn" {
  description = "Workspace of AMP."
  value       = aws_prometheus_workspace.this.arn
}
