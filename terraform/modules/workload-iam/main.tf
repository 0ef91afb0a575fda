# What each program may do in AWS: one role for each service account of the chart, by Pod Identity.
# A test compares this list with the chart's accounts.

locals {
  fragments = "${var.video_bucket_arn}/fragments/*"
  chunks    = "${var.video_bucket_arn}/chunks/*"

  read_key  = { sid = "ReadKey", actions = ["kms:Decrypt"], resources = [var.video_kms_key_arn] }
  write_key = { sid = "WriteKey", actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [var.video_kms_key_arn] }
  list      = { sid = "List", actions = ["s3:ListBucket"], resources = [var.video_bucket_arn] }
  read      = { sid = "Read", actions = ["s3:GetObject"], resources = [local.fragments, local.chunks] }
  queue_key = { sid = "QueueKey", actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [var.queue_kms_key_arn] }
  join = {
    sid       = "WriteChunks"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = [local.chunks]
  }
  delete = {
    sid       = "Delete"
    actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    resources = [local.fragments, local.chunks]
  }
  versions = {
    sid       = "Versions"
    actions   = ["s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration", "s3:GetBucketLocation"]
    resources = [var.video_bucket_arn]
  }
  receive = {
    sid       = "Receive"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    resources = [var.events_queue_arn]
  }
  depth     = { sid = "Depth", actions = ["sqs:GetQueueAttributes"], resources = [var.events_queue_arn] }
  set_aside = { sid = "SetAside", actions = ["sqs:SendMessage", "sqs:GetQueueAttributes"], resources = [var.dead_letters_queue_arn] }
  settle = {
    sid       = "SettleDeadLetters"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    resources = [var.dead_letters_queue_arn]
  }
  send_again = { sid = "SendAgain", actions = ["sqs:SendMessage"], resources = [var.events_queue_arn] }
  lend = {
    sid       = "LendToDevices"
    actions   = ["sts:AssumeRole", "sts:TagSession"]
    resources = [aws_iam_role.device.arn]
  }
  heads = {
    sid       = "WriteHeads"
    actions   = ["s3:PutObject", "s3:PutObjectRetention", "s3:GetObject"]
    resources = ["${var.audit_bucket_arn}/*"]
  }
  list_heads = { sid = "ListHeads", actions = ["s3:ListBucket", "s3:GetBucketObjectLockConfiguration"], resources = [var.audit_bucket_arn] }
  secrets = {
    sid       = "ReadSecrets"
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    resources = var.secret_arns
  }
  secret_keys = { sid = "SecretKeys", actions = ["kms:Decrypt"], resources = var.secret_kms_key_arns }

  # By service account. An account that is not here has no rights in AWS: the migration, for one.
  accounts = {
    relay            = [local.receive, local.set_aside, local.queue_key]
    assembler        = [local.read, local.read_key]
    healer           = [local.list, local.read, local.read_key]
    joiner           = [local.list, local.read, local.join, local.write_key]
    indexer          = [local.read, local.read_key]
    web              = [local.read, local.read_key]
    link             = [local.lend]
    reconciler       = [local.list, local.read, local.read_key]
    retention        = [local.list, local.versions, local.read, local.delete, local.read_key]
    audit            = [local.heads, local.list_heads, local.write_key]
    inference        = [local.read, local.read_key]
    operator         = [local.list, local.versions, local.read, local.join, local.delete, local.write_key, local.settle, local.send_again, local.queue_key]
    external-secrets = [local.secrets, local.secret_keys]
    keda             = [local.depth]
  }

  # Operators of other projects: where their charts put them, and the names of their accounts.
  operators = {
    external-secrets = { namespace = "external-secrets", account = "external-secrets" }
    keda             = { namespace = "keda", account = "keda-operator" }
  }
}

data "aws_iam_policy_document" "pods" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "account" {
  for_each = local.accounts
  dynamic "statement" {
    for_each = each.value
    content {
      sid       = statement.value.sid
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
}

resource "aws_iam_role" "account" {
  for_each           = local.accounts
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.pods.json
}

resource "aws_iam_role_policy" "account" {
  for_each = local.accounts
  name     = "vigil"
  role     = aws_iam_role.account[each.key].id
  policy   = data.aws_iam_policy_document.account[each.key].json
}

resource "aws_eks_pod_identity_association" "account" {
  for_each        = local.accounts
  cluster_name    = var.name
  namespace       = try(local.operators[each.key].namespace, var.namespace)
  service_account = try(local.operators[each.key].account, "vigil-${each.key}")
  role_arn        = aws_iam_role.account[each.key].arn
}
