mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name                      = "vigil-test"
  vpc_id                    = "vpc-1"
  subnet_ids                = { a = "subnet-1", b = "subnet-2", c = "subnet-3" }
  client_security_group_ids = { nodes = "sg-1" }
  alarm_topic_arns          = ["arn:aws:sns:us-east-1:123456789012:alarms"]
}

run "safe_by_default" {
  command = plan
  assert {
    condition = (
      aws_db_instance.this.multi_az && aws_db_instance.this.deletion_protection &&
      aws_db_instance.this.storage_encrypted && !aws_db_instance.this.publicly_accessible &&
      !aws_db_instance.this.skip_final_snapshot && !aws_db_instance.this.delete_automated_backups
    )
    error_message = "Two zones, protected, encrypted, private, with snapshots."
  }
  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null
    error_message = "No password in the state."
  }
  assert {
    condition = anytrue([
      for p in aws_db_parameter_group.this.parameter : p.name == "rds.force_ssl" && p.value == "1"
    ])
    error_message = "Connections without TLS are refused."
  }
  assert {
    condition     = aws_db_parameter_group.this.family == "postgres17"
    error_message = "The family follows the version."
  }
}

run "three_days_are_too_few" {
  command = plan
  variables {
    backup_days = 3
  }
  expect_failures = [var.backup_days]
}
