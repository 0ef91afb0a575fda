terraform {
  required_version = ">= 1.11.0"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
  # Bucket, key and KMS key come from environments/ENVIRONMENT/backend.hcl (see the Makefile).
  backend "s3" {
    use_lockfile = true
    encrypt      = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]
  default_tags {
    tags = {
      "vigil:environment" = var.environment
      "vigil:root"        = "sites"
      "vigil:managed-by"  = "terraform"
    }
  }
}
