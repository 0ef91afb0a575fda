# Read by each root of this environment. Replace the account's id by yours.
environment = "production"
region      = "us-east-1"
account_id  = "333333333333"
