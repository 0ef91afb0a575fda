# One site: its VPN with two tunnels, its place in the hub's route tables, its alarms.
#
# The gateway is known by its certificate, not by an address. So AWS never begins a tunnel
# (startup_action add): the device does. Routes are static: the site has one network, and a routing
# daemon on each device would be one more program that can fail.

resource "aws_customer_gateway" "this" {
  type            = "ipsec.1"
  bgp_asn         = var.asn
  certificate_arn = var.certificate_arn
  device_name     = var.id
  tags            = { Name = "${var.name}-${var.id}", "vigil:site" = var.site }
}

resource "aws_cloudwatch_log_group" "tunnels" {
  name              = "/vigil/${var.name}/vpn/${var.id}"
  retention_in_days = var.log_days
  kms_key_id        = var.log_kms_key_arn
  tags              = { "vigil:site" = var.site }
}

# Both tunnels have the same options: what is left out keeps AWS's default, which permits weak suites.
resource "aws_vpn_connection" "this" {
  type                     = "ipsec.1"
  customer_gateway_id      = aws_customer_gateway.this.id
  transit_gateway_id       = var.transit_gateway_id
  static_routes_only       = true
  local_ipv4_network_cidr  = var.network
  remote_ipv4_network_cidr = var.reachable_networks

  tunnel1_ike_versions                    = ["ikev2"]
  tunnel1_phase1_encryption_algorithms    = ["AES256-GCM-16"]
  tunnel1_phase2_encryption_algorithms    = ["AES256-GCM-16"]
  tunnel1_phase1_integrity_algorithms     = ["SHA2-384"]
  tunnel1_phase2_integrity_algorithms     = ["SHA2-384"]
  tunnel1_phase1_dh_group_numbers         = [20]
  tunnel1_phase2_dh_group_numbers         = [20]
  tunnel1_phase1_lifetime_seconds         = 28800
  tunnel1_phase2_lifetime_seconds         = 3600
  tunnel1_dpd_timeout_action              = "clear"
  tunnel1_dpd_timeout_seconds             = 30
  tunnel1_startup_action                  = "add"
  tunnel1_enable_tunnel_lifecycle_control = true
  tunnel1_log_options {
    cloudwatch_log_options {
      log_enabled       = true
      log_group_arn     = aws_cloudwatch_log_group.tunnels.arn
      log_output_format = "json"
    }
  }

  tunnel2_ike_versions                    = ["ikev2"]
  tunnel2_phase1_encryption_algorithms    = ["AES256-GCM-16"]
  tunnel2_phase2_encryption_algorithms    = ["AES256-GCM-16"]
  tunnel2_phase1_integrity_algorithms     = ["SHA2-384"]
  tunnel2_phase2_integrity_algorithms     = ["SHA2-384"]
  tunnel2_phase1_dh_group_numbers         = [20]
  tunnel2_phase2_dh_group_numbers         = [20]
  tunnel2_phase1_lifetime_seconds         = 28800
  tunnel2_phase2_lifetime_seconds         = 3600
  tunnel2_dpd_timeout_action              = "clear"
  tunnel2_dpd_timeout_seconds             = 30
  tunnel2_startup_action                  = "add"
  tunnel2_enable_tunnel_lifecycle_control = true
  tunnel2_log_options {
    cloudwatch_log_options {
      log_enabled       = true
      log_group_arn     = aws_cloudwatch_log_group.tunnels.arn
      log_output_format = "json"
    }
  }

  tags = { Name = "${var.name}-${var.id}", "vigil:site" = var.site }
}

resource "aws_ec2_transit_gateway_route_table_association" "this" {
  transit_gateway_attachment_id  = aws_vpn_connection.this.transit_gateway_attachment_id
  transit_gateway_route_table_id = var.sites_route_table_id
}

resource "aws_ec2_transit_gateway_route" "to_site" {
  destination_cidr_block         = var.network
  transit_gateway_attachment_id  = aws_vpn_connection.this.transit_gateway_attachment_id
  transit_gateway_route_table_id = var.vpc_route_table_id
}

locals {
  tunnels = {
    1 = aws_vpn_connection.this.tunnel1_address
    2 = aws_vpn_connection.this.tunnel2_address
  }
}

resource "aws_cloudwatch_metric_alarm" "tunnel" {
  for_each            = { for number, address in local.tunnels : tostring(number) => address }
  alarm_name          = "${var.name}-${var.id}-tunnel${each.key}"
  alarm_description   = "Tunnel ${each.key} of ${var.site} is down. The other one carries the site."
  namespace           = "AWS/VPN"
  metric_name         = "TunnelState"
  dimensions          = { VpnId = aws_vpn_connection.this.id, TunnelIpAddress = each.value }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 15
  datapoints_to_alarm = 15
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = { "vigil:site" = var.site }
}

resource "aws_cloudwatch_metric_alarm" "both_down" {
  alarm_name          = "${var.name}-${var.id}-offline"
  alarm_description   = "Both tunnels of ${var.site} are down. It records by itself. See docs/how-to/runbook.md."
  evaluation_periods  = 5
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = { "vigil:site" = var.site }
  metric_query {
    id          = "up"
    expression  = "MAX([one, two])"
    label       = "Tunnels that are up"
    return_data = true
  }
  metric_query {
    id = "one"
    metric {
      namespace   = "AWS/VPN"
      metric_name = "TunnelState"
      dimensions  = { VpnId = aws_vpn_connection.this.id, TunnelIpAddress = aws_vpn_connection.this.tunnel1_address }
      period      = 60
      stat        = "Maximum"
    }
  }
  metric_query {
    id = "two"
    metric {
      namespace   = "AWS/VPN"
      metric_name = "TunnelState"
      dimensions  = { VpnId = aws_vpn_connection.this.id, TunnelIpAddress = aws_vpn_connection.this.tunnel2_address }
      period      = 60
      stat        = "Maximum"
    }
  }
}

# What the device needs to set up strongSwan. No secret is in it.
resource "aws_ssm_parameter" "tunnels" {
  # checkov:skip=CKV2_AWS_34: addresses and names, no secret
  name = "/vigil/${var.name}/sites/${var.id}/vpn"
  type = "String"
  value = jsonencode({
    site    = var.site
    network = var.network
    remote  = var.reachable_networks
    tunnels = [
      { outside = aws_vpn_connection.this.tunnel1_address, inside = aws_vpn_connection.this.tunnel1_inside_cidr },
      { outside = aws_vpn_connection.this.tunnel2_address, inside = aws_vpn_connection.this.tunnel2_inside_cidr },
    ]
  })
  tags = { "vigil:site" = var.site }
}
