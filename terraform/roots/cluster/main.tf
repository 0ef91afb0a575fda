# The cluster, what its pods may do in AWS, and the project that installs releases in it. All of this can
# be made again: data is in another state.

locals {
  name    = "vigil-${var.environment}"
  network = jsondecode(data.aws_ssm_parameter.network.insecure_value)
  data    = jsondecode(data.aws_ssm_parameter.data.insecure_value)
}

data "aws_ssm_parameter" "network" {
  name = "/vigil/${local.name}/network"
}

data "aws_ssm_parameter" "data" {
  name = "/vigil/${local.name}/data"
}

module "deploy" {
  source                = "../../modules/deploy-target"
  name                  = local.name
  environment           = var.environment
  github_repository     = var.github_repository
  vpc_id                = local.network.vpc_id
  subnet_ids            = local.network.private_subnet_ids
  pipeline_account_id   = var.pipeline_account_id
  artifact_bucket_arn   = var.artifact_bucket_arn
  artifact_kms_key_arn  = var.artifact_kms_key_arn
  repository_arns       = var.repository_arns
  signing_key_parameter = "/vigil/${local.name}/signing-key"
  image                 = var.deploy_image
  log_kms_key_arn       = local.data.log_kms_key_arn
}

module "eks" {
  source                        = "../../modules/eks"
  name                          = local.name
  kubernetes_version            = var.kubernetes_version
  log_kms_key_arn               = local.data.log_kms_key_arn
  subnet_ids                    = local.network.private_subnet_ids
  admin_role_arns               = var.admin_role_arns
  deploy_role_arns              = { pipeline = module.deploy.deploy_role_arn }
  api_client_security_group_ids = { deploy = module.deploy.security_group_id }
}

module "workload" {
  source                 = "../../modules/workload-iam"
  name                   = module.eks.name
  video_bucket_arn       = local.data.video_bucket_arn
  video_kms_key_arn      = local.data.video_kms_key_arn
  audit_bucket_arn       = local.data.audit_bucket_arn
  events_queue_arn       = local.data.events_arn
  dead_letters_queue_arn = local.data.dead_letters_arn
  queue_kms_key_arn      = local.data.queue_kms_key_arn
  secret_arns            = local.data.secret_arns
  secret_kms_key_arns    = local.data.secret_kms_key_arns
  device_ca_kms_key_arn  = var.device_ca_kms_key_arn
}

module "observability" {
  source                   = "../../modules/cluster-observability"
  name                     = module.eks.name
  region                   = var.region
  prometheus_workspace_arn = local.data.prometheus_arn
  alarm_topic_arns         = [local.data.alarm_topic_arn]
}

# What the chart needs to know. `make deploy` turns it into values.
resource "aws_ssm_parameter" "this" {
  # checkov:skip=CKV2_AWS_34: addresses and names, no secret
  name = "/vigil/${local.name}/cluster"
  type = "String"
  value = jsonencode({
    cluster         = module.eks.name
    node_role       = module.eks.node_role_name
    device_role_arn = module.workload.device_role_arn
    region          = var.region
  })
}
