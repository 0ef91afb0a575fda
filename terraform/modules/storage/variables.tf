variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "suffix" {
  description = "Makes the buckets' names unique in the world, such as the account's id."
  type        = string
}

variable "device_role_arn" {
  description = "Role whose sessions devices get: it may only write fragments."
  type        = string
}

variable "sites_endpoint_id" {
  description = "Interface endpoint of the sites. Devices write through it only. Empty: from anywhere."
  type        = string
  default     = ""
}

variable "object_lock" {
  description = "Object Lock on footage, so that a legal hold is a hold of S3 too. Only when the bucket is made."
  type        = bool
  default     = false
}

variable "audit_lock_days" {
  description = "How long a signed head of the audit log cannot be deleted, days."
  type        = number
  default     = 366
}

variable "audit_lock_mode" {
  description = "COMPLIANCE: no one can delete a head, not even the root user. GOVERNANCE: a named role can."
  type        = string
  default     = "COMPLIANCE"
  validation {
    condition     = contains(["COMPLIANCE", "GOVERNANCE"], var.audit_lock_mode)
    error_message = "The mode is COMPLIANCE or GOVERNANCE."
  }
}

variable "log_days" {
  description = "How long access logs and flow logs are kept, days."
  type        = number
  default     = 90
}

variable "cold_after_days" {
  description = "Age at which chunks move to S3 Glacier Instant Retrieval, days. 0: never."
  type        = number
  default     = 0
  validation {
    condition     = var.cold_after_days == 0 || var.cold_after_days >= 30
    error_message = "S3 moves objects after 30 days at the earliest."
  }
}
