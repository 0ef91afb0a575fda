# The hub of all sites: one transit gateway with two route tables.
#
#   sites  each VPN is associated with it; it leads to the endpoints of the VPC and nowhere else
#   vpc    the VPC is associated with it; each site adds its own network to it
#
# Defaults are off, so a new attachment reaches nothing until somebody says where it belongs.

locals {
  private = toset(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"])
  returns = {
    for pair in setproduct(keys(var.return_route_table_ids), var.site_networks) :
    "${pair[0]} ${pair[1]}" => { table = var.return_route_table_ids[pair[0]], network = pair[1] }
  }
}

resource "aws_ec2_transit_gateway" "this" {
  description                        = "${var.name}: sites to the VPC"
  amazon_side_asn                    = var.amazon_side_asn
  default_route_table_association    = "disable"
  default_route_table_propagation    = "disable"
  auto_accept_shared_attachments     = "disable"
  security_group_referencing_support = "disable"
  dns_support                        = "enable"
  vpn_ecmp_support                   = "enable"
  tags                               = { Name = var.name }
}

resource "aws_ec2_transit_gateway_vpc_attachment" "this" {
  transit_gateway_id                              = aws_ec2_transit_gateway.this.id
  vpc_id                                          = var.vpc_id
  subnet_ids                                      = values(var.attachment_subnet_ids)
  transit_gateway_default_route_table_association = false
  transit_gateway_default_route_table_propagation = false
  tags                                            = { Name = var.name }
}

resource "aws_ec2_transit_gateway_route_table" "sites" {
  transit_gateway_id = aws_ec2_transit_gateway.this.id
  tags               = { Name = "${var.name}-sites" }
}

resource "aws_ec2_transit_gateway_route_table" "vpc" {
  transit_gateway_id = aws_ec2_transit_gateway.this.id
  tags               = { Name = "${var.name}-vpc" }
}

resource "aws_ec2_transit_gateway_route_table_association" "vpc" {
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.this.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.vpc.id
}

resource "aws_ec2_transit_gateway_route" "to_endpoints" {
  for_each                       = toset(var.reachable_networks)
  destination_cidr_block         = each.value
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.this.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.sites.id
}

# A packet from one site to another ends here, also if a route is added to this table by mistake
# that is less specific than these.
resource "aws_ec2_transit_gateway_route" "blackhole" {
  for_each                       = local.private
  destination_cidr_block         = each.value
  blackhole                      = true
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.sites.id
}

resource "aws_route" "to_sites" {
  for_each               = local.returns
  route_table_id         = each.value.table
  destination_cidr_block = each.value.network
  transit_gateway_id     = aws_ec2_transit_gateway.this.id
  depends_on             = [aws_ec2_transit_gateway_vpc_attachment.this]
}

# Sites resolve the names of the endpoints here.
resource "aws_security_group" "resolver" {
  name        = "${var.name}-resolver"
  description = "DNS from the sites"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-resolver" }
}

resource "aws_vpc_security_group_ingress_rule" "resolver" {
  for_each = {
    for pair in setproduct(["tcp", "udp"], var.site_networks) : "${pair[0]} ${pair[1]}" => pair
  }
  security_group_id = aws_security_group.resolver.id
  description       = "DNS by ${each.value[0]} from ${each.value[1]}"
  cidr_ipv4         = each.value[1]
  ip_protocol       = each.value[0]
  from_port         = 53
  to_port           = 53
}

resource "aws_route53_resolver_endpoint" "inbound" {
  name               = "${var.name}-sites"
  direction          = "INBOUND"
  security_group_ids = [aws_security_group.resolver.id]
  protocols          = ["Do53"]
  dynamic "ip_address" {
    for_each = var.isolated_subnet_ids
    content {
      subnet_id = ip_address.value
    }
  }
}
