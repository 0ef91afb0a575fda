mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "210987654321" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::210987654321:role/a" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:210987654321:key/1" }
  }
  mock_resource "aws_codepipeline" {
    defaults = { arn = "arn:aws:codepipeline:us-east-1:210987654321:vigil" }
  }
}

variables {
  github_repository        = "example/vigil"
  repository_arns          = ["arn:aws:ecr:us-east-1:210987654321:repository/vigil/cloud"]
  approval_topic_arn       = "arn:aws:sns:us-east-1:210987654321:approvals"
  plan_role_arns           = ["arn:aws:iam::111111111111:role/vigil-plan"]
  apply_role_arns          = { dev = "arn:aws:iam::111111111111:role/vigil-apply", production = "arn:aws:iam::333333333333:role/vigil-apply" }
  permissions_boundary_arn = "arn:aws:iam::210987654321:policy/boundary"
  targets = [
    { environment = "dev", project_name = "vigil-dev-deploy", start_role_arn = "arn:aws:iam::111111111111:role/vigil-dev-deploy-start", alarm_names = ["vigil-dev-slo"], approval = false },
    { environment = "staging", project_name = "vigil-staging-deploy", start_role_arn = "arn:aws:iam::222222222222:role/vigil-staging-deploy-start", alarm_names = ["vigil-staging-slo"], approval = false },
    { environment = "production", project_name = "vigil-production-deploy", start_role_arn = "arn:aws:iam::333333333333:role/vigil-production-deploy-start", alarm_names = ["vigil-production-slo"], approval = true },
  ]
}

run "dev_then_staging_then_a_person" {
  command = plan
  assert {
    condition     = [for stage in aws_codepipeline.this.stage : stage.name] == ["release", "dev", "staging", "production-approval", "production"]
    error_message = "Releases go through all environments, in order."
  }
  assert {
    condition     = aws_codepipeline.this.stage[3].action[0].provider == "Manual" && length(aws_codepipeline.this.stage[3].action) == 1 && aws_codepipeline.this.pipeline_type == "V2"
    error_message = "A person approves production."
  }
  assert {
    condition = alltrue([
      for stage in aws_codepipeline.this.stage :
      stage.on_success[0].condition[0].result == "ROLLBACK" && stage.on_failure[0].result == "ROLLBACK"
      if contains(["dev", "staging", "production"], stage.name)
    ])
    error_message = "An alarm rolls back."
  }
}

run "exact_subjects" {
  command = plan
  assert {
    condition     = alltrue([for role in local.roles : !strcontains(role.subject, "*")])
    error_message = "No wildcard in a subject."
  }
  assert {
    condition     = local.roles["apply-production"].subject == "repo:example/vigil:environment:production"
    error_message = "Production is applied from its environment only."
  }
  assert {
    condition     = local.roles["build"].subject == "repo:example/vigil:environment:release" && local.roles["plan"].subject == "repo:example/vigil:environment:plan"
    error_message = "Only tags release, and no pull request gets a role."
  }
}

run "a_rollback_waits_for_no_person" {
  command = plan
  assert {
    condition     = [for action in aws_codepipeline.this.stage[4].action : action.name] == ["install"]
    error_message = "The stage that is rolled back only installs."
  }
  assert {
    condition     = strcontains(aws_codepipeline.this.stage[4].action[0].configuration.EnvironmentVariables, "#{codepipeline.PipelineExecutionId}")
    error_message = "The installation knows its execution, to ask for its approval."
  }
}

run "drift_alarms_also_when_it_is_unknown" {
  command = plan
  assert {
    condition     = aws_cloudwatch_metric_alarm.drift.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.drift_unknown.treat_missing_data == "breaching"
    error_message = "No report is an alarm."
  }
}

run "production_needs_a_person" {
  command = plan
  variables {
    targets = [
      { environment = "dev", project_name = "a", start_role_arn = "arn:aws:iam::111111111111:role/a", alarm_names = ["x"], approval = false },
      { environment = "staging", project_name = "a", start_role_arn = "arn:aws:iam::111111111111:role/a", alarm_names = ["x"], approval = false },
      { environment = "production", project_name = "a", start_role_arn = "arn:aws:iam::111111111111:role/a", alarm_names = ["x"], approval = false },
    ]
  }
  expect_failures = [var.targets]
}

run "a_wildcard_is_refused" {
  command = plan
  variables {
    github_repository = "example/*"
  }
  expect_failures = [var.github_repository]
}
