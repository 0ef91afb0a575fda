"""The relay: from the sites' SQS queue to Kafka."""
