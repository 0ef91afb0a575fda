variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Isolated subnets, by zone."
  type        = map(string)
}

variable "client_security_group_ids" {
  description = "Security groups of those that may connect, by name: the cluster's nodes."
  type        = map(string)
}

variable "instance_class" {
  description = "Size of the instance."
  type        = string
  default     = "db.m7g.large"
}

variable "storage_gib" {
  description = "Storage at the start, GiB. It grows by itself up to four times that."
  type        = number
  default     = 200
}

variable "multi_az" {
  description = "A standby in another zone. Set it in production."
  type        = bool
  default     = true
}

variable "backup_days" {
  description = "How long each second can be restored, days."
  type        = number
  default     = 14
  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "Point-in-time recovery must reach 7 to 35 days back."
  }
}

variable "engine_version" {
  description = "PostgreSQL's version. 17 is the newest that Vigil is tested with on RDS; see docs/design/infrastructure.md."
  type        = string
  default     = "17"
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of a full disk, of CPU and of connections."
  type        = list(string)
}
