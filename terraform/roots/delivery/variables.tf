variable "environment" {
  description = "dev, staging, production, or delivery: the account of images and of the pipeline."
  type        = string
  validation {
    condition     = contains(["dev", "staging", "production", "delivery"], var.environment)
    error_message = "The environment is dev, staging, production or delivery."
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

variable "github_repository" {
  description = "OWNER/NAME of the repository."
  type        = string
}

variable "environment_account_ids" {
  description = "Accounts by environment."
  type        = map(string)
}

variable "targets" {
  description = "Environments in order: see module cicd."
  type = list(object({
    environment    = string
    project_name   = string
    start_role_arn = string
    alarm_names    = list(string)
    approval       = bool
  }))
}

variable "approval_emails" {
  description = "Who is asked to approve a release for production."
  type        = list(string)
}
