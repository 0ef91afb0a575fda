# sites.yaml is the one list of sites. What is wrong in it is said here, before anything is planned.

locals {
  name = "vigil-${var.environment}"
  file = yamldecode(file(var.sites_file))
  list = local.file.sites
  ids  = [for site in local.list : site.id]

  # Start and size of each network as numbers, for comparison.
  ranges = [
    for site in local.list : {
      id    = site.id
      first = sum([for index, part in split(".", cidrhost(site.network, 0)) : tonumber(part) * pow(256, 3 - index)])
      size  = pow(2, 32 - tonumber(split("/", site.network)[1]))
    }
  ]
  overlaps = flatten([
    for index, one in local.ranges : [
      for other in slice(local.ranges, index + 1, length(local.ranges)) : "${one.id} and ${other.id}"
      if one.first < other.first + other.size && other.first < one.first + one.size
    ]
  ])
  wrong = concat(
    [for id in distinct(local.ids) : "the id ${id} is there ${length([for each in local.ids : each if each == id])} times" if length([for each in local.ids : each if each == id]) > 1],
    [for site in local.list : "${site.id}: an id is s and four digits, such as s0042" if !can(regex("^s[0-9]{4}$", site.id))],
    [for site in local.list : "${site.id}: ${site.site} is not tenant/site in lower-case letters, digits and inner hyphens" if !can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", site.site))],
    [for site in local.list : "${site.id}: the network ${site.network} is not a /24 or smaller" if !can(tonumber(split("/", site.network)[1]) >= 24) || !try(tonumber(split("/", site.network)[1]) >= 24, false)],
    [for site in local.list : "${site.id}: the ring is ${try(site.ring, "missing")}, not lab, canary, early or rest" if !contains(["lab", "canary", "early", "rest"], try(site.ring, ""))],
    [for site in local.list : "${site.id}: ${site.cameras} cameras are not 1 to 64" if !try(site.cameras >= 1 && site.cameras <= 64, false)],
    [for site in local.list : "${site.id}: say which certificate the site has (certificate_arn)" if try(site.certificate_arn, "") == ""],
    [for pair in local.overlaps : "the networks of ${pair} overlap"],
    [for site in distinct([for each in local.list : each.site]) : "${site} is there twice" if length([for each in local.list : each.site if each.site == site]) > 1],
  )
  sites = { for site in local.list : site.id => site if contains(var.rings, try(site.ring, "")) }
}

resource "terraform_data" "sites_are_right" {
  input = length(local.wrong)
  lifecycle {
    precondition {
      condition     = length(local.wrong) == 0
      error_message = "sites.yaml: ${join("; ", local.wrong)}."
    }
  }
}
