admin_role_arns      = { administrators = "arn:aws:iam::333333333333:role/administrators" }
pipeline_account_id  = "444444444444"
artifact_bucket_arn  = "arn:aws:s3:::vigil-releases-444444444444"
artifact_kms_key_arn = "arn:aws:kms:us-east-1:444444444444:key/00000000-0000-0000-0000-000000000000"
repository_arns = [
  "arn:aws:ecr:us-east-1:444444444444:repository/vigil/cloud",
  "arn:aws:ecr:us-east-1:444444444444:repository/vigil/inference",
  "arn:aws:ecr:us-east-1:444444444444:repository/vigil/helm",
]
github_repository = "example/vigil"
