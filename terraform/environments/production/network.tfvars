cidr         = "10.66.0.0/16"
zones        = ["us-east-1a", "us-east-1b", "us-east-1c"]
nat_per_zone = true
