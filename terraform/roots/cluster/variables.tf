variable "environment" {
  description = "dev, staging or production."
  type        = string
  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "The environment is dev, staging or production."
  }
}

variable "region" {
  description = "Region of everything."
  type        = string
  default     = "us-east-1"
}

variable "account_id" {
  description = "Account of the environment. Terraform refuses to run in another one."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account's id has twelve digits."
  }
}

variable "admin_role_arns" {
  description = "Roles of administrators of the cluster, by name."
  type        = map(string)
}

variable "kubernetes_version" {
  description = "Kubernetes's version."
  type        = string
  default     = "1.34"
}

variable "pipeline_account_id" {
  description = "Account of delivery."
  type        = string
}

variable "artifact_bucket_arn" {
  description = "Bucket of releases, in the account of delivery."
  type        = string
}

variable "artifact_kms_key_arn" {
  description = "Key of releases."
  type        = string
}

variable "repository_arns" {
  description = "Repositories of images and of the chart, in the account of delivery."
  type        = list(string)
}

variable "deploy_image" {
  description = "Image of the container that installs releases."
  type        = string
  default     = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
}

variable "device_ca_kms_key_arn" {
  description = "Key of the device CA: ECC_NIST_P256, SIGN_VERIFY. Empty: its key is a secret."
  type        = string
  default     = ""
}

variable "github_repository" {
  description = "OWNER/NAME of the repository: images that another one built are refused."
  type        = string
}
