variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "cluster_arn" {
  description = "ARN of the MSK cluster."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the secrets. MSK requires one of the account's own."
  type        = string
}

variable "users" {
  description = "SCRAM users: one for each program."
  type        = set(string)
}

variable "password_version" {
  description = "Raise it to renew all passwords."
  type        = number
  default     = 1
}
