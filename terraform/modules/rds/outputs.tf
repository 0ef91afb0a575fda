output "address" {
  description = "Host name of the catalog."
  value       = aws_db_instance.this.address
}

output "master_secret_arn" {
  description = "Secret with the owner's password. Only the migration job reads it."
  value       = try(aws_db_instance.this.master_user_secret[0].secret_arn, null)
}

output "kms_key_arn" {
  description = "Key of the catalog and of its secrets."
  value       = aws_kms_key.this.arn
}

output "instance_arn" {
  description = "ARN of the instance: the backup plan names it."
  value       = aws_db_instance.this.arn
}
