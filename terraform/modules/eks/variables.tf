variable "name" {
  description = "Name of the cluster, such as vigil-production."
  type        = string
}

variable "kubernetes_version" {
  description = "Kubernetes's version. The chart is checked against this one and the next."
  type        = string
  default     = "1.34"
}

variable "subnet_ids" {
  description = "Private subnets, by zone."
  type        = map(string)
}

variable "api_client_security_group_ids" {
  description = "Security groups that may reach the API, by name: CodeBuild's, an administrator's."
  type        = map(string)
  default     = {}
}

variable "admin_role_arns" {
  description = "Roles of administrators, by name."
  type        = map(string)
}

variable "deploy_role_arns" {
  description = "Roles that install the chart, by name. They edit the namespaces below, and nothing else."
  type        = map(string)
}

variable "namespaces" {
  description = "Namespaces that the deploy roles edit."
  type        = set(string)
  default     = ["vigil", "vigil-inference"]
}

variable "log_kms_key_arn" {
  description = "Key of the logs."
  type        = string
}

variable "log_days" {
  description = "How long logs of the control plane are kept, days."
  type        = number
  default     = 90
}
