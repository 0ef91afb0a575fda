"""From the spool to the cloud: bytes to S3 first, then the notice to SQS.

uploader       PUTs of fragments, and what guides them: scheduler (which one is next), concurrency
               (how many at once), bandwidth (rate limit), adaptive_timeout, stall_probe, quarantine
outbox_sender  notices, messages and ends of runs, in batches; rejected messages are isolated
link           whether requests succeed; exponential back-off with jitter after failures
"""
