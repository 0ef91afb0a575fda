"""Outside systems, one file each: object store, queue, catalog."""
