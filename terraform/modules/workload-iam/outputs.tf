output "device_role_arn" {
  description = "Role that devices' credentials come from."
  value       = aws_iam_role.device.arn
}

output "role_arns" {
  description = "Roles by service account."
  value       = { for account, role in aws_iam_role.account : account => role.arn }
}

output "device_policy" {
  description = "Policy of a device, JSON. A test evaluates it action by action."
  value       = data.aws_iam_policy_document.device.json
}

output "policies" {
  description = "Policies by service account, JSON."
  value       = { for account, document in data.aws_iam_policy_document.account : account => document.json }
}
