output "state_bucket" {
  description = "Bucket of the states: environments/ENVIRONMENT/backend.hcl names it."
  value       = aws_s3_bucket.state.bucket
}

output "state_kms_key_arn" {
  description = "Key of the states."
  value       = aws_kms_key.state.arn
}

output "role_arns" {
  description = "Roles that plan and apply."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "permissions_boundary_arn" {
  description = "Boundary of roles."
  value       = aws_iam_policy.boundary.arn
}
