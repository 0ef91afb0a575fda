mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name                = "vigil-test"
  cidr                = "10.64.0.0/16"
  zones               = ["us-east-1a", "us-east-1b", "us-east-1c"]
  flow_log_bucket_arn = "arn:aws:s3:::vigil-test-logs"
  video_bucket_arn    = "arn:aws:s3:::vigil-test-video"
  site_networks       = ["10.128.0.0/9"]
}

run "three_zones_and_one_nat" {
  command = plan
  assert {
    condition     = length(aws_subnet.private) == 3 && length(aws_subnet.isolated) == 3
    error_message = "Each zone needs a private and an isolated subnet."
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1
    error_message = "Outside of production one NAT gateway is enough."
  }
  assert {
    condition = length(setunion(
      [for s in aws_subnet.private : s.cidr_block], [for s in aws_subnet.public : s.cidr_block],
      [for s in aws_subnet.isolated : s.cidr_block], [for s in aws_subnet.attachment : s.cidr_block],
    )) == 12
    error_message = "Twelve different networks are needed."
  }
  assert {
    condition     = alltrue([for s in aws_subnet.public : !coalesce(s.map_public_ip_on_launch, false)])
    error_message = "No instance may get a public address by itself."
  }
}

run "a_nat_in_each_zone" {
  command = plan
  variables {
    nat_per_zone = true
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "Production has a NAT gateway in each zone."
  }
}

run "sites_reach_s3_by_the_interface_endpoint_only" {
  command = plan
  assert {
    condition = (
      aws_vpc_endpoint.s3_sites.vpc_endpoint_type == "Interface" &&
      aws_vpc_endpoint.s3_sites.dns_options[0].private_dns_only_for_inbound_resolver_endpoint
    )
    error_message = "A gateway endpoint cannot be reached over a VPN."
  }
  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.endpoints)) == toset(["10.64.0.0/16", "10.128.0.0/9"])
    error_message = "Only the VPC and the sites reach the endpoints."
  }
}

run "two_zones_are_refused" {
  command = plan
  variables {
    zones = ["us-east-1a", "us-east-1b"]
  }
  expect_failures = [var.zones]
}

run "a_small_network_is_refused" {
  command = plan
  variables {
    cidr = "10.64.0.0/20"
  }
  expect_failures = [var.cidr]
}
