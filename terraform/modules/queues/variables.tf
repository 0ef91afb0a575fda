variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "device_role_arn" {
  description = "Role whose sessions devices get: it may only send."
  type        = string
}


variable "visibility_timeout_s" {
  description = "Seconds for which a received message is hidden. The relay sets its own, 30 s."
  type        = number
  default     = 60
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of old messages and of dead letters."
  type        = list(string)
}

variable "oldest_message_s" {
  description = "Age of the oldest message that raises the alarm, seconds."
  type        = number
  default     = 120
}

variable "alarm_without_events" {
  description = "Whether a queue without events is an alarm. False where no device is installed yet."
  type        = bool
  default     = false
}
