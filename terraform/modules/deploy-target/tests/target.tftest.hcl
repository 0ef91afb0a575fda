mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/a" }
  }
}

variables {
  name                  = "vigil-test"
  environment           = "staging"
  github_repository     = "example/vigil"
  vpc_id                = "vpc-1"
  subnet_ids            = { a = "subnet-1" }
  pipeline_account_id   = "210987654321"
  artifact_bucket_arn   = "arn:aws:s3:::artifacts"
  artifact_kms_key_arn  = "arn:aws:kms:us-east-1:210987654321:key/1"
  repository_arns       = ["arn:aws:ecr:us-east-1:210987654321:repository/vigil/cloud"]
  signing_key_parameter = "/vigil/vigil-test/signing-key"
  image                 = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
  log_kms_key_arn       = "arn:aws:kms:us-east-1:123456789012:key/2"
}

run "one_release_at_a_time" {
  command = plan
  assert {
    condition     = aws_codebuild_project.this.concurrent_build_limit == 1 && !aws_codebuild_project.this.environment[0].privileged_mode
    error_message = "Two releases must not be installed at the same time."
  }
}

run "only_the_release_workflow_is_trusted" {
  command = plan
  assert {
    condition = contains(
      [for variable in aws_codebuild_project.this.environment[0].environment_variable : variable.value],
      "https://github.com/example/vigil/.github/workflows/release.yaml@refs/tags/v",
    )
    error_message = "An image that another workflow built must be refused."
  }
}
