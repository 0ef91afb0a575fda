variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "resource_arns" {
  description = "What is backed up: the catalog."
  type        = list(string)
}

variable "copy_vault_arn" {
  description = "Vault in another account that gets a copy each day. Empty: none, for dev."
  type        = string
  default     = ""
}

variable "keep_days" {
  description = "How long a daily backup is kept, days."
  type        = number
  default     = 35
}

variable "lock_days" {
  description = "How long no one can delete a backup, days."
  type        = number
  default     = 14
}
