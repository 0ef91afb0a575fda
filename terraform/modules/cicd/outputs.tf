output "releases_bucket" {
  description = "Bucket that a release is written to."
  value       = aws_s3_bucket.releases.bucket
}

output "releases_bucket_arn" {
  description = "ARN of that bucket."
  value       = aws_s3_bucket.releases.arn
}

output "artifact_kms_key_arn" {
  description = "Key of releases and artifacts."
  value       = aws_kms_key.artifacts.arn
}

output "signing_key_arn" {
  description = "Key that signs images."
  value       = aws_kms_key.signing.arn
}

output "github_role_arns" {
  description = "Roles of GitHub Actions, by what they do."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}

output "approvals_role_arn" {
  description = "Role that an environment asks for the approval of an execution with."
  value       = aws_iam_role.approvals.arn
}
