# One account for images and for the pipeline. Environments trust it for nothing but what its roles name.

data "aws_iam_policy" "boundary" {
  name = "vigil-boundary"
}

resource "aws_kms_key" "images" {
  description             = "vigil: images"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

locals {
  # This account has states too.
  accounts = merge(var.environment_account_ids, { delivery = var.account_id })
}

module "ecr" {
  source           = "../../modules/ecr"
  kms_key_arn      = aws_kms_key.images.arn
  pull_account_ids = values(var.environment_account_ids)
}

resource "aws_sns_topic" "approvals" {
  name              = "vigil-approvals"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sns_topic_subscription" "approvals" {
  for_each  = toset(var.approval_emails)
  topic_arn = aws_sns_topic.approvals.arn
  protocol  = "email"
  endpoint  = each.value
}

module "cicd" {
  source                   = "../../modules/cicd"
  github_repository        = var.github_repository
  repository_arns          = values(module.ecr.repository_arns)
  targets                  = var.targets
  approval_topic_arn       = aws_sns_topic.approvals.arn
  alarm_emails             = var.approval_emails
  plan_role_arns           = [for account in values(local.accounts) : "arn:aws:iam::${account}:role/vigil-plan"]
  apply_role_arns          = { for environment, account in local.accounts : environment => "arn:aws:iam::${account}:role/vigil-apply" }
  permissions_boundary_arn = data.aws_iam_policy.boundary.arn
}
