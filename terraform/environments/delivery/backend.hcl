# The bucket of this account's states, made by roots/bootstrap. Replace the account's id by yours.
bucket = "vigil-delivery-state-444444444444"
region = "us-east-1"
