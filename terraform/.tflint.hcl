# tflint over terraform/: make lint-infra. Core rules only: the plug-in of AWS comes from GitHub.
config {
  call_module_type = "local"
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}

# A module without outputs needs no file for them.
rule "terraform_standard_module_structure" {
  enabled = false
}
