variable "github_repository" {
  description = "OWNER/NAME of the repository."
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.github_repository))
    error_message = "Write OWNER/NAME, without a wildcard."
  }
}

variable "repository_arns" {
  description = "Repositories of images and of the chart."
  type        = list(string)
}

variable "targets" {
  description = "Environments in order: account, project, role that starts it, alarms that roll back, and whether a person approves."
  type = list(object({
    environment    = string
    project_name   = string
    start_role_arn = string
    alarm_names    = list(string)
    approval       = bool
  }))
  validation {
    condition     = [for t in var.targets : t.environment] == ["dev", "staging", "production"] && var.targets[2].approval
    error_message = "The order is dev, staging, production, and a person approves production."
  }
  validation {
    condition     = alltrue([for t in var.targets : length(t.alarm_names) > 0])
    error_message = "Each environment names the alarms that roll a release back."
  }
}

variable "approval_topic_arn" {
  description = "SNS topic that hears of a release that waits for approval."
  type        = string
}

variable "plan_role_arns" {
  description = "Roles that may read each environment's state and plan: those of the environments' accounts."
  type        = list(string)
}

variable "apply_role_arns" {
  description = "Roles that may apply a plan in each environment's account."
  type        = map(string)
}

variable "permissions_boundary_arn" {
  description = "Boundary of the roles of GitHub Actions."
  type        = string
}

variable "alarm_emails" {
  description = "Who hears of drift."
  type        = list(string)
  default     = []
}

variable "state_count" {
  description = "States that the workflow drift plans each night. Fewer reports raise an alarm."
  type        = number
  default     = 17
}
