"""From the spool to the cloud: bytes to S3 first, then the notice to SQS.

link      whether requests succeed; the pause after those that do not
fragments PUTs of fragments
sender    notices, messages and ends of runs, in batches
"""
