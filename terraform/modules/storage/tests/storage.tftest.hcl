mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  name              = "vigil-test"
  suffix            = "123456789012"
  device_role_arn   = "arn:aws:iam::123456789012:role/vigil-test-device"
  sites_endpoint_id = "vpce-1"
}

run "closed_encrypted_and_versioned" {
  command = plan
  assert {
    condition = alltrue([
      for block in aws_s3_bucket_public_access_block.this :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ]) && length(aws_s3_bucket_public_access_block.this) == 3
    error_message = "No bucket may be public."
  }
  assert {
    condition     = alltrue([for v in aws_s3_bucket_versioning.this : v.versioning_configuration[0].status == "Enabled"])
    error_message = "All buckets are versioned."
  }
  assert {
    condition = alltrue([
      for e in aws_s3_bucket_server_side_encryption_configuration.kms : one(e.rule).bucket_key_enabled
    ])
    error_message = "Without bucket keys each fragment costs a call to KMS."
  }
}

run "lifecycle_never_expires_footage" {
  command = plan
  assert {
    condition = [
      for rule in aws_s3_bucket_lifecycle_configuration.video.rule : rule.id if length(rule.expiration) > 0
    ] == ["remove-empty-markers"]
    error_message = "Vigil deletes current footage, S3 does not: a hold could be overruled."
  }
  assert {
    condition = anytrue([
      for rule in aws_s3_bucket_lifecycle_configuration.video.rule :
      anytrue([for n in rule.noncurrent_version_expiration : n.noncurrent_days == 1])
    ])
    error_message = "Erased means erased, one day later."
  }
}

run "audit_heads_are_locked" {
  command = plan
  assert {
    condition     = aws_s3_bucket.audit.object_lock_enabled && aws_s3_bucket_object_lock_configuration.audit.rule[0].default_retention[0].mode == "COMPLIANCE"
    error_message = "Nobody may delete a signed head."
  }
}

run "cold_chunks_by_choice" {
  command = plan
  variables {
    cold_after_days = 90
  }
  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.video.rule) == 3
    error_message = "Chunks move to the cold class."
  }
}

run "too_early_for_cold" {
  command = plan
  variables {
    cold_after_days = 7
  }
  expect_failures = [var.cold_after_days]
}
