# VPNs of all sites. Each belongs to its id, so a site that goes touches no other.

data "aws_ssm_parameter" "network" {
  name = "/vigil/${local.name}/network"
}

data "aws_ssm_parameter" "data" {
  name = "/vigil/${local.name}/data"
}

locals {
  network = jsondecode(data.aws_ssm_parameter.network.insecure_value)
  data    = jsondecode(data.aws_ssm_parameter.data.insecure_value)
  # Three /24 next to each other, of four: one network for the tunnel's selector.
  reachable = cidrsubnet("${cidrhost(local.network.isolated_networks[0], 0)}/22", 0, 0)
}

module "site" {
  source               = "../../modules/site"
  for_each             = local.sites
  name                 = local.name
  id                   = each.key
  site                 = each.value.site
  network              = each.value.network
  certificate_arn      = each.value.certificate_arn
  reachable_networks   = local.reachable
  transit_gateway_id   = local.network.transit_gateway_id
  sites_route_table_id = local.network.sites_route_table_id
  vpc_route_table_id   = local.network.vpc_route_table_id
  log_kms_key_arn      = local.data.log_kms_key_arn
  alarm_topic_arns     = [local.data.alarm_topic_arn]
  depends_on           = [terraform_data.sites_are_right]
}
