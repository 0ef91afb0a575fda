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

variable "alarm_emails" {
  description = "Who hears of alarms."
  type        = list(string)
}

variable "monthly_usd" {
  description = "What the environment may cost in a month, USD."
  type        = number
}

variable "multi_az" {
  description = "A standby of PostgreSQL in another zone."
  type        = bool
}

variable "database_class" {
  description = "Size of PostgreSQL's instance."
  type        = string
}

variable "broker_type" {
  description = "Size of a broker."
  type        = string
}

variable "backup_copy_vault_arn" {
  description = "Vault in another account. Empty: none."
  type        = string
  default     = ""
}

variable "devices_through_vpn_only" {
  description = "Devices write footage through the sites' endpoint only. False while a site has no VPN."
  type        = bool
  default     = true
}

variable "audit_lock_mode" {
  description = "COMPLIANCE in production. GOVERNANCE elsewhere, so that an environment can be removed."
  type        = string
}

variable "alarm_without_events" {
  description = "Whether a queue without events is an alarm. False until the first device is installed."
  type        = bool
  default     = false
}

variable "kafka_acls_exist" {
  description = "False until the first ACLs of Kafka exist (docs/how-to/install.md)."
  type        = bool
  default     = true
}
