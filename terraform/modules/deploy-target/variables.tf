variable "name" {
  description = "Name of the cluster, and prefix of all names."
  type        = string
}

variable "environment" {
  description = "dev, staging or production: which values of the chart are installed."
  type        = string
}

variable "github_repository" {
  description = "OWNER/NAME of the repository: images that another one built are refused."
  type        = string
}

variable "vpc_id" {
  description = "The VPC: the Kubernetes API is private."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, by zone."
  type        = map(string)
}

variable "pipeline_account_id" {
  description = "Account of the pipeline: its roles start this project."
  type        = string
}

variable "artifact_bucket_arn" {
  description = "Bucket of the pipeline's artifacts."
  type        = string
}

variable "artifact_kms_key_arn" {
  description = "Key of the pipeline's artifacts."
  type        = string
}

variable "repository_arns" {
  description = "Repositories of images and of the chart."
  type        = list(string)
}

variable "signing_key_parameter" {
  description = "SSM parameter with the public key of signed images. An image without a signature is refused."
  type        = string
}

variable "image" {
  description = "Image of the build container. It has helm, kubectl and cosign."
  type        = string
}

variable "log_kms_key_arn" {
  description = "Key of the logs."
  type        = string
}
