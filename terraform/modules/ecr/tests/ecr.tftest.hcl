mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  kms_key_arn      = "arn:aws:kms:us-east-1:123456789012:key/1"
  pull_account_ids = ["123456789012", "210987654321"]
}

run "tags_never_move" {
  command = plan
  assert {
    condition     = alltrue([for r in aws_ecr_repository.this : r.image_tag_mutability == "IMMUTABLE" && r.image_scanning_configuration[0].scan_on_push])
    error_message = "An image that was tested is the image that runs."
  }
}
