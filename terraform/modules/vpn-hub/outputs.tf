output "transit_gateway_id" {
  description = "Id of the transit gateway."
  value       = aws_ec2_transit_gateway.this.id
}

output "sites_route_table_id" {
  description = "Route table that each site's VPN is associated with."
  value       = aws_ec2_transit_gateway_route_table.sites.id
}

output "vpc_route_table_id" {
  description = "Route table that gets the network of each site."
  value       = aws_ec2_transit_gateway_route_table.vpc.id
}

output "resolver_addresses" {
  description = "Addresses at which sites ask for names."
  value       = [for address in aws_route53_resolver_endpoint.inbound.ip_address : address.ip]
}
