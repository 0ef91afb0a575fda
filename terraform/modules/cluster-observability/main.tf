# What runs in the cluster to observe it: Fluent Bit and the agent of CloudWatch, and Prometheus's right
# to write to AMP. The log groups are in the module observability: agents cannot make groups without
# an end.

data "aws_iam_policy_document" "pods" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "agent" {
  name               = "${var.name}-cloudwatch-agent"
  assume_role_policy = data.aws_iam_policy_document.pods.json
}

resource "aws_iam_role_policy_attachment" "agent" {
  role       = aws_iam_role.agent.name
  policy_arn = "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy"
}

data "aws_iam_policy_document" "prometheus" {
  statement {
    sid       = "RemoteWrite"
    actions   = ["aps:RemoteWrite"]
    resources = [var.prometheus_workspace_arn]
  }
}

resource "aws_iam_role" "prometheus" {
  name               = "${var.name}-prometheus"
  assume_role_policy = data.aws_iam_policy_document.pods.json
}

resource "aws_iam_role_policy" "prometheus" {
  name   = "remote-write"
  role   = aws_iam_role.prometheus.id
  policy = data.aws_iam_policy_document.prometheus.json
}

resource "aws_eks_pod_identity_association" "prometheus" {
  cluster_name    = var.name
  namespace       = "monitoring"
  service_account = "prometheus"
  role_arn        = aws_iam_role.prometheus.arn
}

# Container Insights is on for nodes and pods, not for each container: that costs per container.
# Not tried on AWS: the addon takes the files of Fluent Bit as they are.
resource "aws_eks_addon" "cloudwatch" {
  cluster_name                = var.name
  addon_name                  = "amazon-cloudwatch-observability"
  resolve_conflicts_on_update = "OVERWRITE"
  configuration_values = jsonencode({
    containerLogs = {
      enabled = true
      fluentBit = { config = { extraFiles = {
        "application-log.conf" = templatefile("${path.module}/application-log.conf", {
          log_group      = "/aws/containerinsights/${var.name}/application"
          region         = var.region
          namespaces     = var.log_namespaces
          lines_a_second = var.log_lines_a_second
        })
        # Auto Mode's nodes are AWS's: their own logs are not ours to read.
        "dataplane-log.conf" = ""
        "host-log.conf"      = ""
      } } }
    }
    agent = { config = { logs = { metrics_collected = { kubernetes = {
      enhanced_container_insights = false
    } } } } }
  })
  pod_identity_association {
    role_arn        = aws_iam_role.agent.arn
    service_account = "cloudwatch-agent"
  }
}

locals {
  alarms = {
    nodes-failed = { namespace = "ContainerInsights", metric = "cluster_failed_node_count", minutes = 15, threshold = 0, missing = "breaching", text = "Nodes are not ready, or the agent of CloudWatch does not run." }
    pods-waiting = { namespace = "AWS/EKS", metric = "scheduler_pending_pods_UNSCHEDULABLE", minutes = 15, threshold = 0, missing = "notBreaching", text = "Pods find no node: the pools' limits, or no machine of that kind." }
    api-errors   = { namespace = "AWS/EKS", metric = "apiserver_request_total_5XX", minutes = 15, threshold = 100, missing = "notBreaching", text = "The API server of Kubernetes answers by errors." }
  }
}

resource "aws_cloudwatch_metric_alarm" "cluster" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-cluster-${each.key}"
  alarm_description   = "${each.value.text} See docs/how-to/runbook.md."
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = { ClusterName = var.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = each.value.minutes
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
