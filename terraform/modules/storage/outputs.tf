output "video_bucket" {
  description = "Name of the bucket of footage."
  value       = aws_s3_bucket.video.bucket
}

output "video_bucket_arn" {
  description = "ARN of the bucket of footage."
  value       = aws_s3_bucket.video.arn
}

output "audit_bucket" {
  description = "Name of the bucket of the audit log's heads."
  value       = aws_s3_bucket.audit.bucket
}

output "audit_bucket_arn" {
  description = "ARN of the bucket of the audit log's heads."
  value       = aws_s3_bucket.audit.arn
}

output "logs_bucket_arn" {
  description = "ARN of the bucket of logs."
  value       = aws_s3_bucket.logs.arn
}

output "video_kms_key_arn" {
  description = "ARN of the key of footage."
  value       = aws_kms_key.video.arn
}

output "video_policy" {
  description = "Policy of the bucket of footage, JSON. A test evaluates it action by action."
  value       = data.aws_iam_policy_document.video.json
}
