mock_provider "aws" {
  mock_data "aws_ssm_parameter" {
    defaults = {
      insecure_value = "{\"isolated_networks\":[\"10.64.244.0/24\"],\"transit_gateway_id\":\"tgw-1\",\"sites_route_table_id\":\"rtb-1\",\"vpc_route_table_id\":\"rtb-2\",\"log_kms_key_arn\":\"arn:aws:kms:us-east-1:111111111111:key/1\",\"alarm_topic_arn\":\"arn:aws:sns:us-east-1:111111111111:alarms\"}"
    }
  }
}

variables {
  environment = "dev"
  account_id  = "111111111111"
  sites_dir   = "tests/two"
}

run "two_sites" {
  command = plan
  assert {
    condition     = toset(keys(module.site)) == toset(["s0001", "s0002"])
    error_message = "Each site is there by its id."
  }
}

run "the_canary_first" {
  command = plan
  variables {
    rings = ["canary"]
  }
  assert {
    condition     = keys(module.site) == ["s0001"]
    error_message = "Only the canary."
  }
}

run "a_wrong_file_is_refused" {
  command = plan
  variables {
    sites_dir = "tests/bad"
    rings     = ["lab"]
  }
  expect_failures = [terraform_data.sites_are_right]
}
