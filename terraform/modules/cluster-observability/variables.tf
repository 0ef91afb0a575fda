variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "region" {
  description = "Region of the cluster."
  type        = string
}

variable "prometheus_workspace_arn" {
  description = "Workspace of AMP to which Prometheus writes."
  type        = string
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of the cluster's alarms."
  type        = list(string)
}

variable "log_namespaces" {
  description = "Namespaces whose programs' logs are kept."
  type        = list(string)
  default     = ["vigil", "vigil-inference", "monitoring"]
}

variable "log_lines_a_second" {
  description = "Lines that one node may send each second; more are dropped. 500 lines of 300 bytes are 13 GiB a day."
  type        = number
  default     = 500
  validation {
    condition     = var.log_lines_a_second > 0
    error_message = "At least one line a second."
  }
}
