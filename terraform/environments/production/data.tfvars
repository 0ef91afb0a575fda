alarm_emails             = ["operations@example.com"]
monthly_usd              = 40000
multi_az                 = true
database_class           = "db.m7g.xlarge"
broker_type              = "kafka.m7g.large"
devices_through_vpn_only = true
audit_lock_mode          = "COMPLIANCE"
