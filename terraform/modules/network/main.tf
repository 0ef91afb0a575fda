# One VPC: public subnets for load balancers and NAT, private ones for nodes, isolated ones for data.
# Sites arrive by the transit gateway (module vpn-hub) in subnets of their own.

data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  zones  = { for index, zone in var.zones : zone => index }
  region = data.aws_region.current.name
  # /20 a zone: nodes and pods share it. The rest of the /16 stays free for growth.
  private  = { for zone, index in local.zones : zone => cidrsubnet(var.cidr, 4, index) }
  public   = { for zone, index in local.zones : zone => cidrsubnet(var.cidr, 8, 240 + index) }
  isolated = { for zone, index in local.zones : zone => cidrsubnet(var.cidr, 8, 244 + index) }
  attach   = { for zone, index in local.zones : zone => cidrsubnet(var.cidr, 12, 3968 + index) }
  nats     = var.nat_per_zone ? local.zones : { (var.zones[0]) = 0 }
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# Nothing uses the default security group and the default route table.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-default-unused" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_subnet" "public" {
  for_each          = local.public
  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = { Name = "${var.name}-public-${each.key}", "kubernetes.io/role/elb" = "1" }
}

resource "aws_subnet" "private" {
  for_each          = local.private
  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
  tags = {
    Name                              = "${var.name}-private-${each.key}"
    "kubernetes.io/role/internal-elb" = "1"
    "karpenter.sh/discovery"          = var.name
  }
}

resource "aws_subnet" "isolated" {
  for_each          = local.isolated
  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = { Name = "${var.name}-isolated-${each.key}" }
}

resource "aws_subnet" "attachment" {
  for_each          = local.attach
  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = { Name = "${var.name}-transit-${each.key}" }
}

resource "aws_eip" "nat" {
  for_each = local.nats
  domain   = "vpc"
  tags     = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each      = local.nats
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = { Name = "${var.name}-${each.key}" }
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each       = aws_subnet.public
  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  for_each = local.zones
  vpc_id   = aws_vpc.this.id
  tags     = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_route" "nat" {
  for_each               = local.zones
  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = try(aws_nat_gateway.this[each.key].id, aws_nat_gateway.this[var.zones[0]].id)
}

resource "aws_route_table_association" "private" {
  for_each       = aws_subnet.private
  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

# Data and the sites' attachment: no route out at all.
resource "aws_route_table" "isolated" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-isolated" }
}

resource "aws_route_table_association" "isolated" {
  for_each       = aws_subnet.isolated
  subnet_id      = each.value.id
  route_table_id = aws_route_table.isolated.id
}

resource "aws_route_table" "attachment" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-transit" }
}

resource "aws_route_table_association" "attachment" {
  for_each       = aws_subnet.attachment
  subnet_id      = each.value.id
  route_table_id = aws_route_table.attachment.id
}

resource "aws_flow_log" "this" {
  vpc_id                   = aws_vpc.this.id
  traffic_type             = "ALL"
  log_destination_type     = "s3"
  log_destination          = "${var.flow_log_bucket_arn}/flow-logs/"
  max_aggregation_interval = 600
  destination_options {
    file_format                = "parquet"
    hive_compatible_partitions = true
    per_hour_partition         = false
  }
  tags = { Name = var.name }
}

# Nodes have this group besides the cluster's own. Databases and brokers let it in, so they can be made
# before the cluster and survive it.
resource "aws_security_group" "clients" {
  # checkov:skip=CKV2_AWS_5: nodes of the cluster take it, by its tag: helm/vigil-cluster
  name        = "${var.name}-clients"
  description = "Nodes whose pods use the catalog and Kafka"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-clients", "vigil:node-class" = var.name }
}

resource "aws_vpc_security_group_egress_rule" "clients" {
  security_group_id = aws_security_group.clients.id
  description       = "Anywhere: network policies in the cluster say what a pod may reach"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}
