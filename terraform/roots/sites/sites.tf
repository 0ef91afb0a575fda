# A file per site (docs/how-to/site.md). `vigil site check` says all that is wrong in them; what
# would harm another site is said here too, before anything is planned.

locals {
  name  = "vigil-${var.environment}"
  files = { for name in fileset(var.sites_dir, "*.yaml") : name => yamldecode(file("${var.sites_dir}/${name}")) }
  list = [
    for name, file in local.files : {
      file            = name
      id              = try(file.id, "")
      site            = try(file.site, "")
      network         = try(file.management.network, "")
      ring            = try(file.ring, "")
      certificate_arn = try(file.vpn.certificate_arn, "")
    }
  ]
  ids = [for site in local.list : site.id]

  # Start and size of each network as numbers, for comparison.
  ranges = [
    for site in local.list : {
      id    = site.id
      first = sum([for index, part in split(".", cidrhost(site.network, 0)) : tonumber(part) * pow(256, 3 - index)])
      size  = pow(2, 32 - tonumber(split("/", site.network)[1]))
    } if can(cidrhost(site.network, 0))
  ]
  overlaps = flatten([
    for index, one in local.ranges : [
      for other in slice(local.ranges, index + 1, length(local.ranges)) : "${one.id} and ${other.id}"
      if one.first < other.first + other.size && other.first < one.first + one.size
    ]
  ])
  wrong = concat(
    [for id in distinct(local.ids) : "the id ${id} is there ${length([for each in local.ids : each if each == id])} times" if length([for each in local.ids : each if each == id]) > 1],
    [for site in local.list : "${site.file}: an id is s and four digits, such as s0042" if !can(regex("^s[0-9]{4}$", site.id))],
    [for site in local.list : "${site.file}: the site ${site.site} is not tenant/site in lower-case letters, digits and inner hyphens" if !can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", site.site))],
    [for site in local.list : "${site.file}: the management network ${site.network} is not a /24 or smaller" if !try(can(cidrhost(site.network, 0)) && tonumber(split("/", site.network)[1]) >= 24, false)],
    [for site in local.list : "${site.file}: the ring is ${site.ring == "" ? "missing" : site.ring}, not lab, canary, early or rest" if !contains(["lab", "canary", "early", "rest"], site.ring)],
    [for site in local.list : "${site.file}: say which certificate the site has (vpn.certificate_arn)" if site.certificate_arn == ""],
    [for pair in local.overlaps : "the management networks of ${pair} overlap"],
    [for site in distinct([for each in local.list : each.site]) : "${site} is there twice" if length([for each in local.list : each.site if each.site == site]) > 1],
  )
  # Twice the same id is said above: here the first of them counts, so that it can be said.
  sites = { for id, of_id in { for site in local.list : site.id => site... } : id => of_id[0] if contains(var.rings, of_id[0].ring) }
}

resource "terraform_data" "sites_are_right" {
  input = length(local.wrong)
  lifecycle {
    precondition {
      condition     = length(local.wrong) == 0
      error_message = "Files of sites: ${join("; ", local.wrong)}."
    }
  }
}
