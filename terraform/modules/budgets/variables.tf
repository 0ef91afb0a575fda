variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "monthly_usd" {
  description = "What the environment may cost in a month, USD."
  type        = number
  validation {
    condition     = var.monthly_usd > 0
    error_message = "Say what the environment may cost."
  }
}

variable "emails" {
  description = "Who hears of it."
  type        = list(string)
  validation {
    condition     = length(var.emails) > 0
    error_message = "Somebody must hear of it."
  }
}

variable "environment" {
  description = "Value of the tag vigil:environment."
  type        = string
}

variable "anomaly_usd" {
  description = "Unusual cost in a day that is reported, USD."
  type        = number
  default     = 50
}
