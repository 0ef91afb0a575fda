delivery_account_id = "444444444444"
