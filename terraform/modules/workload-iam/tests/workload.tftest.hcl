mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/a" }
  }
}

variables {
  name                   = "vigil-test"
  video_bucket_arn       = "arn:aws:s3:::video"
  video_kms_key_arn      = "arn:aws:kms:us-east-1:123456789012:key/1"
  audit_bucket_arn       = "arn:aws:s3:::audit"
  events_queue_arn       = "arn:aws:sqs:us-east-1:123456789012:events"
  dead_letters_queue_arn = "arn:aws:sqs:us-east-1:123456789012:events-dead"
  queue_kms_key_arn      = "arn:aws:kms:us-east-1:123456789012:key/2"
  secret_arns            = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:a"]
  secret_kms_key_arns    = ["arn:aws:kms:us-east-1:123456789012:key/3"]
}

run "one_role_for_each_account" {
  command = apply
  assert {
    condition     = length(aws_eks_pod_identity_association.account) == length(aws_iam_role.account)
    error_message = "Each role belongs to one account."
  }
  assert {
    condition     = aws_iam_role.device.max_session_duration == 3600
    error_message = "A device's credentials end after an hour."
  }
}

run "only_two_accounts_delete" {
  command = plan
  assert {
    condition = toset([
      for account, statements in local.accounts : account
      if anytrue([for s in statements : contains(s.actions, "s3:DeleteObject")])
    ]) == toset(["retention", "operator"])
    error_message = "Only retention and an operator delete footage."
  }
  assert {
    condition = alltrue(flatten([
      for account, statements in local.accounts : [
        for s in statements : [for action in s.actions : !strcontains(action, "*")]
      ]
    ]))
    error_message = "Each action is named."
  }
}

run "operators_of_other_projects_are_where_their_charts_put_them" {
  command = plan
  assert {
    condition     = aws_eks_pod_identity_association.account["keda"].namespace == "keda"
    error_message = "KEDA is not in the programs' namespace, whose policies let nothing out."
  }
  assert {
    condition     = aws_eks_pod_identity_association.account["external-secrets"].service_account == "external-secrets"
    error_message = "The chart of External Secrets names its account so."
  }
}
