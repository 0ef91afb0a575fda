"""The line, S3 and SQS fail in turn."""
