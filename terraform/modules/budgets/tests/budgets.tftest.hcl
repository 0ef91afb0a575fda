mock_provider "aws" {
  mock_resource "aws_ce_anomaly_monitor" {
    defaults = { arn = "arn:aws:ce::123456789012:anomalymonitor/1" }
  }
}

variables {
  name        = "vigil-test"
  environment = "test"
  monthly_usd = 900
  emails      = ["operations@example.com"]
}

run "four_notifications" {
  command = plan
  assert {
    condition     = length(aws_budgets_budget.month.notification) == 4
    error_message = "At 50, 80 and 120 per cent, and when 100 is foreseen."
  }
  assert {
    condition     = one([for f in aws_budgets_budget.month.cost_filter : one(f.values)]) == "user:vigil:environment$test"
    error_message = "Only this environment's cost."
  }
}

run "nobody_hears" {
  command = plan
  variables {
    emails = []
  }
  expect_failures = [var.emails]
}
