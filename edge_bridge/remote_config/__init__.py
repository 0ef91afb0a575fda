"""A site's configuration from the catalog: fetched, kept, applied, judged.

Design: docs/design/remote-config.md.
"""
