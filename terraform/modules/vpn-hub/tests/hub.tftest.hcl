mock_provider "aws" {}

variables {
  name                   = "vigil-test"
  vpc_id                 = "vpc-1"
  vpc_cidr               = "10.64.0.0/16"
  attachment_subnet_ids  = { a = "subnet-1", b = "subnet-2", c = "subnet-3" }
  isolated_subnet_ids    = { a = "subnet-4", b = "subnet-5", c = "subnet-6" }
  reachable_networks     = ["10.64.244.0/24", "10.64.245.0/24", "10.64.246.0/24"]
  return_route_table_ids = { isolated = "rtb-1" }
  site_networks          = ["10.128.0.0/9"]
}

run "no_site_reaches_another" {
  command = plan
  assert {
    condition = (
      aws_ec2_transit_gateway.this.default_route_table_association == "disable" &&
      aws_ec2_transit_gateway.this.default_route_table_propagation == "disable"
    )
    error_message = "A new attachment must reach nothing."
  }
  assert {
    condition     = toset(keys(aws_ec2_transit_gateway_route.to_endpoints)) == toset(var.reachable_networks)
    error_message = "Sites reach the endpoints' networks only."
  }
  assert {
    condition = alltrue([
      for network in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"] :
      aws_ec2_transit_gateway_route.blackhole[network].blackhole
    ])
    error_message = "All private networks end in a blackhole."
  }
}

run "the_way_back_is_for_endpoints_only" {
  command = plan
  assert {
    condition     = keys(aws_route.to_sites) == ["isolated 10.128.0.0/9"]
    error_message = "Only the endpoints' subnets get a route to the sites."
  }
}

run "networks_outside_of_the_vpc_are_refused" {
  command = plan
  variables {
    reachable_networks = ["10.65.0.0/24"]
  }
  expect_failures = [var.reachable_networks]
}

run "a_public_asn_is_refused" {
  command = plan
  variables {
    amazon_side_asn = 3320
  }
  expect_failures = [var.amazon_side_asn]
}
