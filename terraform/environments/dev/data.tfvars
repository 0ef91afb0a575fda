alarm_emails             = ["operations@example.com"]
monthly_usd              = 900
multi_az                 = false
database_class           = "db.t4g.medium"
broker_type              = "kafka.t3.small"
devices_through_vpn_only = true
audit_lock_mode          = "GOVERNANCE"
