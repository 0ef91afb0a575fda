alarm_emails             = ["operations@example.com"]
monthly_usd              = 2500
multi_az                 = true
database_class           = "db.m7g.large"
broker_type              = "kafka.m7g.large"
devices_through_vpn_only = true
audit_lock_mode          = "GOVERNANCE"
