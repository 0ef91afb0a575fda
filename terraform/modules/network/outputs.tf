output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Network of the VPC."
  value       = aws_vpc.this.cidr_block
}

output "private_subnet_ids" {
  description = "Subnets of the nodes, by zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "public_subnet_ids" {
  description = "Subnets of load balancers and NAT gateways, by zone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "isolated_subnet_ids" {
  description = "Subnets of databases, brokers and endpoints, by zone."
  value       = { for zone, subnet in aws_subnet.isolated : zone => subnet.id }
}

output "attachment_subnet_ids" {
  description = "Subnets of the transit gateway's attachment, by zone."
  value       = { for zone, subnet in aws_subnet.attachment : zone => subnet.id }
}

output "s3_sites_endpoint_id" {
  description = "Interface endpoint through which sites write footage."
  value       = aws_vpc_endpoint.s3_sites.id
}

output "s3_gateway_endpoint_id" {
  description = "Gateway endpoint through which nodes reach S3."
  value       = aws_vpc_endpoint.s3_gateway.id
}

output "s3_networks" {
  description = "S3's own addresses in this region, which the gateway endpoint leads to: network policies name them."
  value       = sort(aws_vpc_endpoint.s3_gateway.cidr_blocks)
}

output "attachment_route_table_id" {
  description = "Route table of the transit gateway's subnets."
  value       = aws_route_table.attachment.id
}

output "isolated_route_table_id" {
  description = "Route table of databases, brokers and endpoints."
  value       = aws_route_table.isolated.id
}

output "private_route_table_ids" {
  description = "Route tables of the nodes, by zone."
  value       = { for zone, table in aws_route_table.private : zone => table.id }
}

output "clients_security_group_id" {
  description = "Security group of nodes: databases and brokers let it in."
  value       = aws_security_group.clients.id
}

output "isolated_networks" {
  description = "Networks of the isolated subnets: all that sites reach."
  value       = [for subnet in aws_subnet.isolated : subnet.cidr_block]
}
