mock_provider "aws" {
  mock_resource "aws_msk_configuration" {
    defaults = { arn = "arn:aws:kafka:us-east-1:123456789012:configuration/a/1", latest_revision = 1 }
  }
  mock_resource "aws_msk_cluster" {
    defaults = { arn = "arn:aws:kafka:us-east-1:123456789012:cluster/a/1" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:AmazonMSK_a" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/1" }
  }
}

variables {
  name                      = "vigil-test"
  vpc_id                    = "vpc-1"
  subnet_ids                = { a = "subnet-1", b = "subnet-2", c = "subnet-3" }
  client_security_group_ids = { nodes = "sg-1" }
  log_kms_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/1"
  alarm_topic_arns          = ["arn:aws:sns:us-east-1:123456789012:alarms"]
}

run "tls_and_scram_only" {
  command = plan
  assert {
    condition = (
      aws_msk_cluster.this.encryption_info[0].encryption_in_transit[0].client_broker == "TLS" &&
      aws_msk_cluster.this.client_authentication[0].sasl[0].scram &&
      !aws_msk_cluster.this.client_authentication[0].unauthenticated
    )
    error_message = "No plain text, nobody without a password."
  }
  assert {
    condition = alltrue([
      for line in ["auto.create.topics.enable=false", "min.insync.replicas=2", "unclean.leader.election.enable=false", "allow.everyone.if.no.acl.found=false"] :
      strcontains(aws_msk_configuration.this.server_properties, line)
    ])
    error_message = "Brokers must not lose records and must not make topics by themselves."
  }
  assert {
    condition     = aws_msk_cluster.this.number_of_broker_nodes == 3
    error_message = "One broker in each zone."
  }
}

run "express_has_no_disks" {
  command = plan
  variables {
    broker_instance_type = "express.m7g.large"
  }
  assert {
    condition     = length(aws_msk_cluster.this.broker_node_group_info[0].storage_info) == 0 && length(aws_appautoscaling_target.disk) == 0
    error_message = "Express brokers have no disks to size."
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.disk) == 0 && length(aws_cloudwatch_metric_alarm.cpu) == 3
    error_message = "An alarm of a metric that does not exist fires for ever."
  }
}

run "each_broker_has_its_alarms" {
  command = plan
  variables {
    brokers_per_zone = 2
  }
  assert {
    condition     = join(",", sort(keys(aws_cloudwatch_metric_alarm.disk))) == "1,2,3,4,5,6" && alltrue([for id, alarm in aws_cloudwatch_metric_alarm.replicas : alarm.dimensions["Broker ID"] == id])
    error_message = "AWS measures disks and replicas by broker."
  }
}

run "two_subnets_are_refused" {
  command = plan
  variables {
    subnet_ids = { a = "subnet-1", b = "subnet-2" }
  }
  expect_failures = [var.subnet_ids]
}

run "zookeeper_is_refused" {
  command = plan
  variables {
    kafka_version = "3.5.1"
  }
  expect_failures = [var.kafka_version]
}
