# Read by each root of this environment. Replace the account's id by yours.
environment = "dev"
region      = "us-east-1"
account_id  = "111111111111"
