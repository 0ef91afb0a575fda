# What is never replaced: footage, queues, Kafka, PostgreSQL, their backups; and alarms and money.

locals {
  name       = "vigil-${var.environment}"
  network    = jsondecode(data.aws_ssm_parameter.network.insecure_value)
  device_arn = "arn:aws:iam::${var.account_id}:role/${local.name}-device"
}

data "aws_ssm_parameter" "network" {
  name = "/vigil/${local.name}/network"
}

module "observability" {
  source       = "../../modules/observability"
  name         = local.name
  alarm_emails = var.alarm_emails
}

module "budgets" {
  source      = "../../modules/budgets"
  name        = local.name
  environment = var.environment
  monthly_usd = var.monthly_usd
  emails      = var.alarm_emails
}

module "storage" {
  source            = "../../modules/storage"
  name              = local.name
  suffix            = var.account_id
  device_role_arn   = local.device_arn
  sites_endpoint_id = var.devices_through_vpn_only ? local.network.s3_sites_endpoint_id : ""
  audit_lock_mode   = var.audit_lock_mode
}

module "queues" {
  source               = "../../modules/queues"
  name                 = local.name
  device_role_arn      = local.device_arn
  alarm_topic_arns     = [module.observability.alarm_topic_arn]
  alarm_without_events = var.alarm_without_events
}

module "rds" {
  source                    = "../../modules/rds"
  name                      = local.name
  vpc_id                    = local.network.vpc_id
  subnet_ids                = local.network.isolated_subnet_ids
  client_security_group_ids = { nodes = local.network.clients_security_group_id }
  instance_class            = var.database_class
  multi_az                  = var.multi_az
  alarm_topic_arns          = [module.observability.alarm_topic_arn]
}

module "msk" {
  source                    = "../../modules/msk"
  name                      = local.name
  vpc_id                    = local.network.vpc_id
  subnet_ids                = local.network.isolated_subnet_ids
  client_security_group_ids = { nodes = local.network.clients_security_group_id }
  broker_instance_type      = var.broker_type
  acls_exist                = var.kafka_acls_exist
  log_kms_key_arn           = module.observability.kms_key_arn
  alarm_topic_arns          = [module.observability.alarm_topic_arn]
}

module "msk_users" {
  source      = "../../modules/msk-users"
  name        = local.name
  cluster_arn = module.msk.cluster_arn
  kms_key_arn = module.msk.kms_key_arn
  users       = ["admin", "relay", "worker", "link"]
}

module "backup" {
  source         = "../../modules/backup"
  name           = local.name
  resource_arns  = [module.rds.instance_arn]
  copy_vault_arn = var.backup_copy_vault_arn
}

# Vigil's own secrets: a person writes their values. Terraform never sees them. The key that signs
# configurations is not among them: it stays with who signs.
resource "aws_secretsmanager_secret" "vigil" {
  # checkov:skip=CKV2_AWS_57: a person writes them; a Lambda that does would be one more who can read them
  for_each = toset([
    "admin-database-url", "audit-key", "database-url", "device-ca", "index-database-url",
    "link-database-url", "link-secret", "session-secret", "web-database-url",
  ])
  name                    = "${local.name}/${each.value}"
  description             = "Vigil: ${each.value}"
  kms_key_id              = module.rds.kms_key_arn
  recovery_window_in_days = 30
}

resource "aws_ssm_parameter" "this" {
  # checkov:skip=CKV2_AWS_34: addresses and names, no secret
  name = "/vigil/${local.name}/data"
  type = "String"
  value = jsonencode({
    video_bucket        = module.storage.video_bucket
    video_bucket_arn    = module.storage.video_bucket_arn
    video_kms_key_arn   = module.storage.video_kms_key_arn
    audit_bucket        = module.storage.audit_bucket
    audit_bucket_arn    = module.storage.audit_bucket_arn
    events_url          = module.queues.events_url
    events_arn          = module.queues.events_arn
    dead_letters_url    = module.queues.dead_letters_url
    dead_letters_arn    = module.queues.dead_letters_arn
    queue_kms_key_arn   = module.queues.kms_key_arn
    database_address    = module.rds.address
    database_secret_arn = module.rds.master_secret_arn
    brokers             = module.msk.brokers
    secret_arns         = concat(values(module.msk_users.secret_arns), [for secret in aws_secretsmanager_secret.vigil : secret.arn], [module.rds.master_secret_arn])
    secret_kms_key_arns = [module.msk.kms_key_arn, module.rds.kms_key_arn]
    alarm_topic_arn     = module.observability.alarm_topic_arn
    log_kms_key_arn     = module.observability.kms_key_arn
    remote_write_url    = module.observability.remote_write_url
    prometheus_arn      = module.observability.prometheus_workspace_arn
  })
}
