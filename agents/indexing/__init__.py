"""Indexing: write events to the catalog, many in one transaction."""
