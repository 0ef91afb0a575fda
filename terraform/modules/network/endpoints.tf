# Endpoints. Nodes reach S3 by the free gateway endpoint. A gateway endpoint cannot be reached over
# a VPN, so sites use the interface endpoint. Its private names are for the resolver's inbound
# endpoint only: inside the VPC, S3's name still leads to the gateway endpoint.

resource "aws_security_group" "endpoints" {
  name        = "${var.name}-endpoints"
  description = "Interface endpoints: HTTPS from the VPC and from the sites"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each          = toset(concat([var.cidr], var.site_networks))
  security_group_id = aws_security_group.endpoints.id
  description       = "HTTPS from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

data "aws_iam_policy_document" "own_account" {
  # checkov:skip=CKV_AWS_1: an endpoint's policy limits who passes, to this account; IAM grants each right
  # checkov:skip=CKV_AWS_49: the same
  statement {
    sid       = "OnlyOwnPrincipals"
    actions   = ["*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

# Through the sites' endpoint footage can be written. It cannot be read, listed or deleted.
data "aws_iam_policy_document" "s3_from_sites" {
  statement {
    sid       = "OnlyFootageIn"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${var.video_bucket_arn}/fragments/*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

# ECR keeps layers in a bucket of AWS; the nodes read them through the gateway endpoint.
data "aws_iam_policy_document" "s3_from_nodes" {
  # checkov:skip=CKV_AWS_283: ECR's layers are read by addresses that AWS signs; the statement names one bucket
  source_policy_documents = [data.aws_iam_policy_document.own_account.json]
  statement {
    sid       = "ImageLayers"
    actions   = ["s3:GetObject"]
    resources = ["arn:${data.aws_partition.current.partition}:s3:::prod-${local.region}-starport-layer-bucket/*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

resource "aws_vpc_endpoint" "s3_gateway" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]
  policy            = data.aws_iam_policy_document.s3_from_nodes.json
  tags              = { Name = "${var.name}-s3-gateway" }
}

resource "aws_vpc_endpoint" "s3_sites" {
  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = [for subnet in aws_subnet.isolated : subnet.id]
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true
  policy              = data.aws_iam_policy_document.s3_from_sites.json
  dns_options {
    dns_record_ip_type                             = "ipv4"
    private_dns_only_for_inbound_resolver_endpoint = true
  }
  tags       = { Name = "${var.name}-s3-sites" }
  depends_on = [aws_vpc_endpoint.s3_gateway]
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = var.interface_endpoints
  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${local.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = [for subnet in aws_subnet.isolated : subnet.id]
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true
  policy              = data.aws_iam_policy_document.own_account.json
  tags                = { Name = "${var.name}-${each.value}" }
}
