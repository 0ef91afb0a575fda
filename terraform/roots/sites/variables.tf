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

variable "sites_dir" {
  description = "Folder with a YAML file for each site."
  type        = string
}

variable "rings" {
  description = "Rings whose sites are applied: a canary first, then all (docs/how-to/site.md)."
  type        = set(string)
  default     = ["lab", "canary", "early", "rest"]
}
