output "secret_arns" {
  description = "Secrets of the users, by user."
  value       = { for user, secret in aws_secretsmanager_secret.user : user => secret.arn }
}
