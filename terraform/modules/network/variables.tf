variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "The name must be 3 to 31 lower-case letters, digits and hyphens."
  }
}

variable "cidr" {
  description = "Network of the VPC, a /16. No site may overlap it."
  type        = string
  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(split("/", var.cidr)[1], "") == "16"
    error_message = "The VPC's network must be an IPv4 /16, such as 10.64.0.0/16."
  }
}

variable "zones" {
  description = "Three availability zones: MSK keeps three replicas, one in each."
  type        = list(string)
  validation {
    condition     = length(distinct(var.zones)) == 3
    error_message = "Name three different availability zones: MSK needs three."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone. Set it in production; one is cheaper elsewhere."
  type        = bool
  default     = false
}

variable "flow_log_bucket_arn" {
  description = "ARN of the bucket that gets the flow logs."
  type        = string
}

variable "video_bucket_arn" {
  description = "ARN of the bucket of footage: the endpoints of S3 permit it."
  type        = string
}

variable "site_networks" {
  description = "Networks that may reach the interface endpoints: one supernet of all sites."
  type        = list(string)
}

variable "interface_endpoints" {
  description = "AWS services with an interface endpoint in all three zones."
  type        = set(string)
  default = [
    "autoscaling", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticloadbalancing", "kms",
    "logs", "monitoring", "secretsmanager", "sqs", "ssm", "sts",
  ]
}
