output "project_name" {
  description = "Project that installs releases."
  value       = aws_codebuild_project.this.name
}

output "deploy_role_arn" {
  description = "Role of the project: an access entry of the cluster names it."
  value       = aws_iam_role.build.arn
}

output "start_role_arn" {
  description = "Role that the pipeline takes."
  value       = aws_iam_role.start.arn
}

output "security_group_id" {
  description = "Security group of the project: the Kubernetes API lets it in."
  value       = aws_security_group.this.id
}
