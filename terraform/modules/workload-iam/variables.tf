variable "name" {
  description = "Name of the cluster, and prefix of all names."
  type        = string
}

variable "namespace" {
  description = "Namespace of the service accounts."
  type        = string
  default     = "vigil"
}

variable "video_bucket_arn" {
  description = "ARN of the bucket of footage."
  type        = string
}

variable "video_kms_key_arn" {
  description = "Key of footage."
  type        = string
}

variable "audit_bucket_arn" {
  description = "ARN of the bucket of the audit log's heads."
  type        = string
}

variable "events_queue_arn" {
  description = "ARN of the queue of events."
  type        = string
}

variable "dead_letters_queue_arn" {
  description = "ARN of the queue of dead letters."
  type        = string
}

variable "queue_kms_key_arn" {
  description = "Key of the queues."
  type        = string
}

variable "secret_arns" {
  description = "Secrets that External Secrets reads: users of Kafka, the catalog's owner, Vigil's own keys."
  type        = list(string)
}

variable "secret_kms_key_arns" {
  description = "Keys of those secrets."
  type        = list(string)
}

variable "device_ca_kms_key_arn" {
  description = "Key of the device CA: ECC_NIST_P256, SIGN_VERIFY. Empty: its key is a secret."
  type        = string
  default     = ""
}
