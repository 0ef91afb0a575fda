output "tunnel_addresses" {
  description = "Outside addresses of the tunnels, by site."
  value       = { for id, site in module.site : id => site.tunnel_addresses }
}
