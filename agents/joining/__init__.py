"""Joining: the fragments of one run in one window become one chunk in S3."""
