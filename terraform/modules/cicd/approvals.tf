# An environment that needs an approval asks the pipeline itself whether this execution has one
# (`make deploy`). It can read the actions of the pipeline, and nothing else.

locals {
  approved = [for target in var.targets : target if target.approval]
}

data "aws_iam_policy_document" "approvals_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [for target in local.approved : "arn:aws:iam::${split(":", target.start_role_arn)[4]}:root"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      # The role of a project has the project's name (module deploy-target).
      values = [for target in local.approved : "arn:aws:iam::${split(":", target.start_role_arn)[4]}:role/${target.project_name}"]
    }
  }
}

resource "aws_iam_role" "approvals" {
  name               = "vigil-pipeline-approvals"
  assume_role_policy = data.aws_iam_policy_document.approvals_trust.json
}

data "aws_iam_policy_document" "approvals" {
  statement {
    sid       = "Read"
    actions   = ["codepipeline:ListActionExecutions"]
    resources = [aws_codepipeline.this.arn]
  }
}

resource "aws_iam_role_policy" "approvals" {
  name   = "approvals"
  role   = aws_iam_role.approvals.id
  policy = data.aws_iam_policy_document.approvals.json
}
