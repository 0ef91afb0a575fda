variable "name" {
  description = "Prefix of all names, such as vigil-production."
  type        = string
}

variable "vpc_id" {
  description = "The VPC that sites reach."
  type        = string
}

variable "vpc_cidr" {
  description = "Network of the VPC."
  type        = string
}

variable "attachment_subnet_ids" {
  description = "Subnets of the attachment, by zone."
  type        = map(string)
}

variable "isolated_subnet_ids" {
  description = "Subnets of the endpoints, by zone: the resolver's inbound endpoint is in them."
  type        = map(string)
}

variable "reachable_networks" {
  description = "Networks in the VPC that sites reach: those of the endpoints. Nodes are not among them."
  type        = list(string)
  validation {
    condition = alltrue([
      for network in var.reachable_networks :
      cidrsubnet(var.vpc_cidr, 0, 0) == cidrsubnet("${cidrhost(network, 0)}/${split("/", var.vpc_cidr)[1]}", 0, 0)
    ])
    error_message = "Sites may reach networks of the VPC only."
  }
}

variable "return_route_table_ids" {
  description = "Route tables that get the way back to the sites, by name: those of the endpoints."
  type        = map(string)
}

variable "site_networks" {
  description = "Networks that all sites are in, such as 10.128.0.0/9. They do not overlap the VPC."
  type        = list(string)
}

variable "amazon_side_asn" {
  description = "Private ASN of the transit gateway."
  type        = number
  default     = 64512
  validation {
    condition     = (var.amazon_side_asn >= 64512 && var.amazon_side_asn <= 65534) || var.amazon_side_asn >= 4200000000
    error_message = "The ASN must be a private one: 64512 to 65534, or 4200000000 and more."
  }
}
