# The bucket of this environment's states, made by roots/bootstrap. Replace the account's id by yours.
bucket = "vigil-staging-state-222222222222"
region = "us-east-1"
