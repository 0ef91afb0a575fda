mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/1" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/a" }
  }
}

variables {
  environment         = "dev"
  account_id          = "123456789012"
  delivery_account_id = "210987654321"
}

run "states_are_safe" {
  command = plan
  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "Old versions of a state are its backups."
  }
  assert {
    condition     = aws_s3_bucket.state.bucket == "vigil-dev-state-123456789012"
    error_message = "environments/dev/backend.hcl names the bucket."
  }
}

run "an_unknown_environment_is_refused" {
  command = plan
  variables {
    environment = "prod"
  }
  expect_failures = [var.environment]
}
