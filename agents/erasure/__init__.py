"""Erasure of a tenant everywhere: catalog, object store, audit log; what ages is reported."""
