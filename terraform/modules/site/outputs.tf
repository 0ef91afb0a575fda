output "vpn_connection_id" {
  description = "Id of the VPN."
  value       = aws_vpn_connection.this.id
}

output "tunnel_addresses" {
  description = "Outside addresses of the two tunnels at AWS."
  value       = [aws_vpn_connection.this.tunnel1_address, aws_vpn_connection.this.tunnel2_address]
}
