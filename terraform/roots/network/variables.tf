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

variable "cidr" {
  description = "Network of the VPC, a /16."
  type        = string
}

variable "zones" {
  description = "Three availability zones."
  type        = list(string)
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone."
  type        = bool
}

variable "site_networks" {
  description = "Networks that all sites are in. They do not overlap the VPC."
  type        = list(string)
  default     = ["10.128.0.0/9"]
  validation {
    condition = alltrue([
      for network in var.site_networks : cidrhost("${cidrhost(var.cidr, 0)}/${split("/", network)[1]}", 0) != cidrhost(network, 0)
    ])
    error_message = "The sites' networks overlap the VPC."
  }
}
