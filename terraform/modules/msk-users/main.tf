# Users of Kafka. Passwords are made here and never stored in the state (write-only). This is a module
# of its own: Terraform cannot mock ephemeral resources, so its test applies it against moto.
ephemeral "aws_secretsmanager_random_password" "user" {
  for_each            = var.users
  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "user" {
  # checkov:skip=CKV2_AWS_57: a new password restarts all programs: a person raises password_version
  for_each                = var.users
  name                    = "AmazonMSK_${var.name}-${each.value}"
  description             = "SCRAM user of Kafka"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "user" {
  for_each  = var.users
  secret_id = aws_secretsmanager_secret.user[each.value].id
  secret_string_wo = jsonencode({
    username = each.value
    password = ephemeral.aws_secretsmanager_random_password.user[each.value].random_password
  })
  secret_string_wo_version = var.password_version
}

resource "aws_msk_scram_secret_association" "this" {
  cluster_arn     = var.cluster_arn
  secret_arn_list = [for secret in aws_secretsmanager_secret.user : secret.arn]
  depends_on      = [aws_secretsmanager_secret_version.user]
}
