"""Healing: find fragments and run ends in S3 that no event announced, and announce them."""
