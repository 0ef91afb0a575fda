"""The consistency check: compare S3 with the catalog, and repair what differs."""
