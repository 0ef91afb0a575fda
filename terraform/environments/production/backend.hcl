# The bucket of this environment's states, made by roots/bootstrap. Replace the account's id by yours.
bucket = "vigil-production-state-333333333333"
region = "us-east-1"
