# Kafka: three brokers in three zones, replication 3, two of them must have a record. TLS and
# SASL/SCRAM only: aiokafka does not log in again when an IAM token ends.

locals {
  express = startswith(var.broker_instance_type, "express.")
}

resource "aws_kms_key" "this" {
  description             = "${var.name}: Kafka and its users' secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_security_group" "this" {
  name        = "${var.name}-kafka"
  description = "Kafka with SASL_SSL, from the cluster's nodes only"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-kafka" }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each                     = var.client_security_group_ids
  security_group_id            = aws_security_group.this.id
  description                  = "SASL_SSL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 9096
  to_port                      = 9096
}

# Topics come from `vigil topics ensure`, never from a client that misspells a name.
resource "aws_msk_configuration" "this" {
  name           = var.name
  kafka_versions = [var.kafka_version]
  server_properties = join("\n", concat([
    "auto.create.topics.enable=false",
    "allow.everyone.if.no.acl.found=${!var.acls_exist}",
    ], local.express ? [] : [
    "default.replication.factor=3",
    "min.insync.replicas=2",
    "unclean.leader.election.enable=false",
    "num.partitions=64",
    "log.retention.hours=168",
    "group.initial.rebalance.delay.ms=3000",
  ]))
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "brokers" {
  name              = "/vigil/${var.name}/kafka"
  retention_in_days = var.log_days
  kms_key_id        = var.log_kms_key_arn
}

resource "aws_msk_cluster" "this" {
  cluster_name           = var.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = 3 * var.brokers_per_zone
  enhanced_monitoring    = "PER_TOPIC_PER_BROKER"

  broker_node_group_info {
    instance_type   = var.broker_instance_type
    client_subnets  = values(var.subnet_ids)
    security_groups = [aws_security_group.this.id]
    dynamic "storage_info" {
      for_each = local.express ? [] : [var.broker_disk_gib]
      content {
        ebs_storage_info {
          volume_size = storage_info.value
        }
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this.arn
    revision = aws_msk_configuration.this.latest_revision
  }

  client_authentication {
    unauthenticated = false
    sasl {
      scram = true
      iam   = false
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = aws_kms_key.this.arn
    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  open_monitoring {
    prometheus {
      jmx_exporter {
        enabled_in_broker = true
      }
      node_exporter {
        enabled_in_broker = true
      }
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.brokers.name
      }
    }
  }

  lifecycle {
    prevent_destroy = true
    # The disks grow by themselves (below).
    ignore_changes = [broker_node_group_info[0].storage_info[0].ebs_storage_info[0].volume_size]
  }
}

resource "aws_appautoscaling_target" "disk" {
  count              = local.express ? 0 : 1
  service_namespace  = "kafka"
  scalable_dimension = "kafka:broker-storage:VolumeSize"
  resource_id        = aws_msk_cluster.this.arn
  min_capacity       = 1
  max_capacity       = var.broker_disk_gib * 4
}

resource "aws_appautoscaling_policy" "disk" {
  count              = local.express ? 0 : 1
  name               = "${var.name}-kafka-disk"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.disk[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.disk[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.disk[0].resource_id
  target_tracking_scaling_policy_configuration {
    target_value     = 60
    disable_scale_in = true
    predefined_metric_specification {
      predefined_metric_type = "KafkaBrokerStorageUtilization"
    }
  }
}

# AWS measures disks, CPU and replicas for each broker: without its number there is no such metric.
locals {
  brokers = [for number in range(1, 3 * var.brokers_per_zone + 1) : tostring(number)]
}

resource "aws_cloudwatch_metric_alarm" "disk" {
  for_each            = toset(local.express ? [] : local.brokers)
  alarm_name          = "${var.name}-kafka-disk-${each.key}"
  alarm_description   = "The disk of broker ${each.key} is 80 % full. Events are kept shorter, or the disk grows. See docs/how-to/runbook.md."
  namespace           = "AWS/Kafka"
  metric_name         = "KafkaDataLogsDiskUsed"
  dimensions          = { "Cluster Name" = var.name, "Broker ID" = each.key }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 80
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

resource "aws_cloudwatch_metric_alarm" "replicas" {
  for_each            = toset(local.express ? [] : local.brokers)
  alarm_name          = "${var.name}-kafka-replicas-${each.key}"
  alarm_description   = "Partitions of broker ${each.key} lack a replica. One more broker down stops writing. See docs/how-to/runbook.md."
  namespace           = "AWS/Kafka"
  metric_name         = "UnderReplicatedPartitions"
  dimensions          = { "Cluster Name" = var.name, "Broker ID" = each.key }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 15
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

# AWS advises 60 %: the rest is for the time in which one broker is missing.
resource "aws_cloudwatch_metric_alarm" "cpu" {
  for_each            = toset(local.brokers)
  alarm_name          = "${var.name}-kafka-cpu-${each.key}"
  alarm_description   = "The CPU of broker ${each.key} is busy. Add brokers, or larger ones. See docs/how-to/runbook.md."
  evaluation_periods  = 3
  threshold           = 60
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  metric_query {
    id          = "busy"
    expression  = "user + kernel"
    label       = "CPU, percent"
    return_data = true
  }
  metric_query {
    id = "user"
    metric {
      namespace   = "AWS/Kafka"
      metric_name = "CpuUser"
      dimensions  = { "Cluster Name" = var.name, "Broker ID" = each.key }
      period      = 300
      stat        = "Average"
    }
  }
  metric_query {
    id = "kernel"
    metric {
      namespace   = "AWS/Kafka"
      metric_name = "CpuSystem"
      dimensions  = { "Cluster Name" = var.name, "Broker ID" = each.key }
      period      = 300
      stat        = "Average"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "offline" {
  alarm_name          = "${var.name}-kafka-offline"
  alarm_description   = "Partitions have no leader: events wait at their senders. See docs/how-to/runbook.md."
  namespace           = "AWS/Kafka"
  metric_name         = "OfflinePartitionsCount"
  dimensions          = { "Cluster Name" = var.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 2
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
