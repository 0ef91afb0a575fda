mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/a" }
  }
}

variables {
  name           = "vigil-test"
  resource_arns  = ["arn:aws:rds:us-east-1:123456789012:db:vigil-test"]
  copy_vault_arn = "arn:aws:backup:us-east-1:210987654321:backup-vault:vigil"
}

run "locked_and_copied" {
  command = plan
  assert {
    condition     = aws_backup_vault_lock_configuration.this.min_retention_days == 14
    error_message = "Nobody deletes a young backup."
  }
  assert {
    condition     = length(one(aws_backup_plan.this.rule).copy_action) == 1
    error_message = "A copy is in another account."
  }
}
