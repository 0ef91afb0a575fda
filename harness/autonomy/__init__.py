"""The VPN is down for days: what the device's spool keeps, and what comes first afterwards."""
