mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/a" }
  }
}

variables {
  name             = "vigil-test"
  log_kms_key_arn  = "arn:aws:kms:us-east-1:123456789012:key/1"
  subnet_ids       = { a = "subnet-1", b = "subnet-2", c = "subnet-3" }
  admin_role_arns  = { break-glass = "arn:aws:iam::123456789012:role/admin" }
  deploy_role_arns = { pipeline = "arn:aws:iam::123456789012:role/deploy" }
}

run "private_with_access_entries" {
  command = plan
  assert {
    condition = (
      !aws_eks_cluster.this.vpc_config[0].endpoint_public_access &&
      aws_eks_cluster.this.access_config[0].authentication_mode == "API" &&
      !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    )
    error_message = "The API is private, and whoever made the cluster is not its administrator for ever."
  }
  assert {
    condition     = contains(aws_eks_cluster.this.enabled_cluster_log_types, "audit")
    error_message = "The audit log is on."
  }
  assert {
    condition     = one(aws_eks_access_policy_association.deploy["pipeline"].access_scope).type == "namespace"
    error_message = "The pipeline edits its namespaces only."
  }
}
