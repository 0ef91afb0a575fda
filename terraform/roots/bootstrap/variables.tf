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

variable "delivery_account_id" {
  description = "Account of delivery: the roles of GitHub Actions there take plan and apply."
  type        = string
}

variable "permissions_boundary_json" {
  description = "Boundary of all roles that the apply role makes. Empty: the one in this root."
  type        = string
  default     = ""
}
