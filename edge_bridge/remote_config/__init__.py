"""A site's configuration from the catalog: fetched, stored, tried out, rolled back if unhealthy.

Design: docs/design/remote-config.md.
"""
