mock_provider "aws" {}

variables {
  name                 = "vigil-test"
  id                   = "s0042"
  site                 = "acme/berlin"
  network              = "10.128.7.0/28"
  reachable_networks   = "10.64.244.0/22"
  certificate_arn      = "arn:aws:acm:us-east-1:123456789012:certificate/1"
  transit_gateway_id   = "tgw-1"
  sites_route_table_id = "tgw-rtb-1"
  vpc_route_table_id   = "tgw-rtb-2"
  log_kms_key_arn      = "arn:aws:kms:us-east-1:123456789012:key/1"
  alarm_topic_arns     = ["arn:aws:sns:us-east-1:123456789012:alarms"]
}

run "both_tunnels_are_hardened_alike" {
  command = plan
  assert {
    condition = (
      aws_vpn_connection.this.tunnel1_ike_versions == toset(["ikev2"]) &&
      aws_vpn_connection.this.tunnel2_ike_versions == toset(["ikev2"])
    )
    error_message = "IKEv2 only."
  }
  assert {
    condition = (
      aws_vpn_connection.this.tunnel1_phase1_encryption_algorithms == toset(["AES256-GCM-16"]) &&
      aws_vpn_connection.this.tunnel2_phase1_encryption_algorithms == toset(["AES256-GCM-16"]) &&
      aws_vpn_connection.this.tunnel1_phase2_encryption_algorithms == toset(["AES256-GCM-16"]) &&
      aws_vpn_connection.this.tunnel2_phase2_encryption_algorithms == toset(["AES256-GCM-16"])
    )
    error_message = "AES-256-GCM only, in both tunnels and phases."
  }
  assert {
    condition = alltrue([
      for groups in [
        aws_vpn_connection.this.tunnel1_phase1_dh_group_numbers, aws_vpn_connection.this.tunnel1_phase2_dh_group_numbers,
        aws_vpn_connection.this.tunnel2_phase1_dh_group_numbers, aws_vpn_connection.this.tunnel2_phase2_dh_group_numbers,
      ] : groups == toset([20])
    ])
    error_message = "DH group 20 only."
  }
}

run "the_gateway_has_a_certificate_and_no_address" {
  command = plan
  assert {
    condition     = aws_customer_gateway.this.certificate_arn != null && aws_customer_gateway.this.ip_address == null
    error_message = "A site has no fixed address."
  }
  assert {
    condition     = aws_vpn_connection.this.tunnel1_startup_action == "add" && aws_vpn_connection.this.tunnel2_startup_action == "add"
    error_message = "AWS cannot begin a tunnel to an unknown address."
  }
}

run "alarms_on_each_tunnel_and_on_both" {
  command = plan
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.tunnel) == 2
    error_message = "Each tunnel has an alarm."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.both_down.treat_missing_data == "breaching"
    error_message = "A site without data is a site that is down."
  }
}

run "a_large_network_is_refused" {
  command = plan
  variables {
    network = "10.128.0.0/16"
  }
  expect_failures = [var.network]
}

run "an_id_that_is_a_name_is_refused" {
  command = plan
  variables {
    id = "berlin"
  }
  expect_failures = [var.id]
}

run "upper_case_is_refused" {
  command = plan
  variables {
    site = "Acme/berlin"
  }
  expect_failures = [var.site]
}
