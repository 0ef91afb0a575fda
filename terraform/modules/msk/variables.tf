variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Three isolated subnets, by zone: one replica in each."
  type        = map(string)
  validation {
    condition     = length(var.subnet_ids) == 3
    error_message = "MSK needs three subnets in three zones."
  }
}

variable "client_security_group_ids" {
  description = "Security groups of those that may connect, by name: the cluster's nodes."
  type        = map(string)
}

variable "kafka_version" {
  description = "Kafka's version, KRaft."
  type        = string
  default     = "3.9.x.kraft"
  validation {
    condition     = endswith(var.kafka_version, ".kraft")
    error_message = "Take a version with KRaft: ZooKeeper ends."
  }
}

variable "broker_instance_type" {
  description = "Size of a broker. kafka.* has disks of its own size, express.* has no disks to size."
  type        = string
  default     = "kafka.m7g.large"
}

variable "brokers_per_zone" {
  description = "Brokers in each zone."
  type        = number
  default     = 1
  validation {
    condition     = var.brokers_per_zone >= 1 && var.brokers_per_zone <= 10
    error_message = "1 to 10 brokers in each zone."
  }
}

variable "broker_disk_gib" {
  description = "Disk of each broker, GiB. It grows by itself up to four times that."
  type        = number
  default     = 200
}

variable "log_kms_key_arn" {
  description = "Key of the logs."
  type        = string
}

variable "log_days" {
  description = "How long broker logs are kept, days."
  type        = number
  default     = 14
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of a full disk and of partitions without replicas."
  type        = list(string)
}

variable "acls_exist" {
  description = "Refuse what no ACL allows. False only until the first ACLs exist: no user could add them."
  type        = bool
  default     = true
}
