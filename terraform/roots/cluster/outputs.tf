output "project_name" {
  description = "Project that installs releases."
  value       = module.deploy.project_name
}

output "start_role_arn" {
  description = "Role by which the pipeline starts it."
  value       = module.deploy.start_role_arn
}
