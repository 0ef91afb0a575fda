output "brokers" {
  description = "Addresses of the brokers for SASL_SSL."
  value       = aws_msk_cluster.this.bootstrap_brokers_sasl_scram
}

output "cluster_arn" {
  description = "ARN of the cluster."
  value       = aws_msk_cluster.this.arn
}

output "kms_key_arn" {
  description = "Key of Kafka and of its users' secrets."
  value       = aws_kms_key.this.arn
}
