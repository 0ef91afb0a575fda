# The bucket of this environment's states, made by roots/bootstrap. Replace the account's id by yours.
bucket = "vigil-dev-state-111111111111"
region = "us-east-1"
