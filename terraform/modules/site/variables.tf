variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "id" {
  description = "The site's id. It never changes, and no other site gets it again."
  type        = string
  validation {
    condition     = can(regex("^s[0-9]{4}$", var.id))
    error_message = "A site's id is s and four digits, such as s0042."
  }
}

variable "site" {
  description = "tenant/site as the catalog knows it."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.site))
    error_message = "A site is tenant/site in lower-case letters, digits and inner hyphens."
  }
}

variable "network" {
  description = "The site's management network: the addresses of its devices. Cameras are not in it."
  type        = string
  validation {
    condition     = can(cidrhost(var.network, 0)) && try(tonumber(split("/", var.network)[1]) >= 24, false)
    error_message = "A site's management network is a /24 or smaller, such as 10.128.7.0/28."
  }
}

variable "reachable_networks" {
  description = "Networks in the VPC that sites reach."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate of the site's device, from the private CA. So the site needs no fixed address."
  type        = string
}

variable "asn" {
  description = "ASN of the customer gateway. AWS requires one for static routes too."
  type        = number
  default     = 65000
}

variable "transit_gateway_id" {
  description = "The hub."
  type        = string
}

variable "sites_route_table_id" {
  description = "The hub's route table for sites."
  type        = string
}

variable "vpc_route_table_id" {
  description = "The hub's route table of the VPC."
  type        = string
}

variable "log_kms_key_arn" {
  description = "KMS key of the tunnels' logs."
  type        = string
}

variable "log_days" {
  description = "How long the tunnels' logs are kept, days."
  type        = number
  default     = 30
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of a tunnel that is down."
  type        = list(string)
}
