# VPC, endpoints and the hub of the sites. Names of buckets follow from environment and account, so
# that the endpoints' policies name them before they exist.

locals {
  name  = "vigil-${var.environment}"
  video = "arn:aws:s3:::${local.name}-video-${var.account_id}"
  logs  = "arn:aws:s3:::${local.name}-logs-${var.account_id}"
}

module "network" {
  source              = "../../modules/network"
  name                = local.name
  cidr                = var.cidr
  zones               = var.zones
  nat_per_zone        = var.nat_per_zone
  flow_log_bucket_arn = local.logs
  video_bucket_arn    = local.video
  site_networks       = var.site_networks
}

module "hub" {
  source                 = "../../modules/vpn-hub"
  name                   = local.name
  vpc_id                 = module.network.vpc_id
  vpc_cidr               = var.cidr
  attachment_subnet_ids  = module.network.attachment_subnet_ids
  isolated_subnet_ids    = module.network.isolated_subnet_ids
  reachable_networks     = module.network.isolated_networks
  return_route_table_ids = { isolated = module.network.isolated_route_table_id }
  site_networks          = var.site_networks
}

# What other roots need. They read this parameter, never this state.
resource "aws_ssm_parameter" "this" {
  # checkov:skip=CKV2_AWS_34: addresses and names, no secret
  name = "/vigil/${local.name}/network"
  type = "String"
  value = jsonencode({
    vpc_id                    = module.network.vpc_id
    cidr                      = module.network.cidr
    private_subnet_ids        = module.network.private_subnet_ids
    public_subnet_ids         = module.network.public_subnet_ids
    isolated_subnet_ids       = module.network.isolated_subnet_ids
    isolated_networks         = module.network.isolated_networks
    clients_security_group_id = module.network.clients_security_group_id
    s3_sites_endpoint_id      = module.network.s3_sites_endpoint_id
    s3_networks               = module.network.s3_networks
    transit_gateway_id        = module.hub.transit_gateway_id
    sites_route_table_id      = module.hub.sites_route_table_id
    vpc_route_table_id        = module.hub.vpc_route_table_id
    resolver_addresses        = module.hub.resolver_addresses
  })
}
