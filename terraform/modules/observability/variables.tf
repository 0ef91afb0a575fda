variable "name" {
  description = "Name of the cluster, and prefix of all names."
  type        = string
}

variable "alarm_emails" {
  description = "Who hears of alarms."
  type        = list(string)
  default     = []
}

variable "alarm_webhooks" {
  description = "HTTPS addresses that hear of alarms, such as those of an on-call service."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for url in var.alarm_webhooks : startswith(url, "https://")])
    error_message = "A webhook begins with https://."
  }
}

variable "log_days" {
  description = "How long the programs' logs are kept, days."
  type        = number
  default     = 30
}

variable "log_gib_a_day" {
  description = "Logs in a day that raise an alarm, GiB: each costs money when it arrives."
  type        = number
  default     = 10
}
