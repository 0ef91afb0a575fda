"""The catalog: PostgreSQL's index of footage and detections.

Functions take an open `Catalog` (`async with Catalog(dsn) as catalog`). All writes are batches, one
transaction each, and idempotent: writing the same again changes nothing.
"""

from stores.catalog.cameras import RegisteredCamera, add_camera, known_cameras, list_cameras
from stores.catalog.index import (
    index_chunks,
    index_deleted,
    index_detections,
    index_fragments,
    index_heartbeats,
    index_runs,
)
from stores.catalog.migrate import SchemaStatus, migrate, schema_status
from stores.catalog.pool import Catalog

__all__ = [
    "Catalog",
    "RegisteredCamera",
    "SchemaStatus",
    "add_camera",
    "index_chunks",
    "index_deleted",
    "index_detections",
    "index_fragments",
    "index_heartbeats",
    "index_runs",
    "known_cameras",
    "list_cameras",
    "migrate",
    "schema_status",
]
