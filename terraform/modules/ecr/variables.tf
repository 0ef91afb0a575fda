variable "repositories" {
  description = "Repositories of Vigil's images."
  type        = set(string)
  default = [
    "vigil/edge-cpu", "vigil/edge-gpu", "vigil/cloud", "vigil/inference", "vigil/inference-gpu", "vigil/helm",
  ]
}

variable "kms_key_arn" {
  description = "Key of the images."
  type        = string
}

variable "pull_account_ids" {
  description = "Accounts whose nodes and devices pull: one for each environment."
  type        = list(string)
}

variable "keep" {
  description = "Images kept in each repository. The ones in use are young."
  type        = number
  default     = 100
}

variable "upstreams" {
  description = "Public registries that are cached, by prefix."
  type        = map(string)
  default = {
    "ecr-public" = "public.ecr.aws"
    "kubernetes" = "registry.k8s.io"
    "quay"       = "quay.io"
  }
}
