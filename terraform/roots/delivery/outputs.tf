output "github_role_arns" {
  description = "Roles of GitHub Actions: variables of the repository name them."
  value       = module.cicd.github_role_arns
}

output "repository_urls" {
  description = "Addresses of the repositories."
  value       = module.ecr.repository_urls
}

output "releases_bucket_arn" {
  description = "Bucket of releases."
  value       = module.cicd.releases_bucket_arn
}

output "artifact_kms_key_arn" {
  description = "Key of releases."
  value       = module.cicd.artifact_kms_key_arn
}

output "signing_key_arn" {
  description = "Key that signs images."
  value       = module.cicd.signing_key_arn
}
