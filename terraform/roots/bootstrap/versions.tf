terraform {
  required_version = ">= 1.11.0"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]
  default_tags {
    tags = {
      "vigil:environment" = var.environment
      "vigil:root"        = "bootstrap"
      "vigil:managed-by"  = "terraform"
    }
  }
}
