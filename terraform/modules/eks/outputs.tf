output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "endpoint" {
  description = "Private address of the Kubernetes API."
  value       = aws_eks_cluster.this.endpoint
}

output "security_group_id" {
  description = "Security group of control plane and nodes: databases and brokers let it in."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "node_role_name" {
  description = "Role of the nodes: the node classes name it."
  value       = aws_iam_role.node.name
}

output "kms_key_arn" {
  description = "Key of secrets and disks."
  value       = aws_kms_key.this.arn
}
