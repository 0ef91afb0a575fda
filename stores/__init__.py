"""Adapters of external systems: object store (S3), queue (SQS), catalog (PostgreSQL)."""
