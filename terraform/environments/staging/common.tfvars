# Read by each root of this environment. Replace the account's id by yours.
environment = "staging"
region      = "us-east-1"
account_id  = "222222222222"
