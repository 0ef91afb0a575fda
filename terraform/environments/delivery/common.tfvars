environment = "delivery"
region      = "us-east-1"
account_id  = "444444444444"
