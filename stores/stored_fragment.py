"""What a recorder wrote to S3 of a fragment or a run's end. Where notices disagree, it decides."""

import logging

from pydantic import ValidationError

from domain.errors import IntegrityError, InvalidEventError, ObjectMissingError
from domain.events import FragmentArrived, RunEnded, parse
from domain.identity import fragment_key, run_end_key
from stores.objects import ObjectStore

log = logging.getLogger(__name__)
MAX_RUN_END_BYTES = 1 << 20
"""A message of the queue has less, and end.json is sent as one."""


async def stored_fragment(store: ObjectStore, key: str) -> FragmentArrived | None:
    """Return the event in an object's metadata (one HEAD), or None if it is missing or invalid.

    Key and size must be those of the object, and so must the SHA-256 where the store has computed
    it. Raises StoreError if S3 fails.
    """
    try:
        head = await store.head(key)
        event = FragmentArrived.from_metadata(dict(head.metadata))
    except ObjectMissingError:
        return None
    except ValidationError as error:
        log_ignored(key, error.errors()[0]["msg"])
        return None
    own_key = fragment_key(event.camera, event.run, event.seq)
    if own_key != key or event.size_bytes != head.size_bytes:
        log_ignored(key, "key or size differ")
        return None
    if head.sha256 is not None and head.sha256 != event.sha256:
        log_ignored(key, "its metadata have another SHA-256 than its bytes")
        return None
    return event


async def whole_fragment(store: ObjectStore, key: str) -> FragmentArrived | None:
    """Return what `stored_fragment` returns, only if the object's bytes have the SHA-256 named.

    A HEAD, and a GET where the store has not computed the SHA-256. Raises StoreError if S3 fails.
    """
    event = await stored_fragment(store, key)
    if event is None or (await store.head(key)).sha256 == event.sha256:
        return event
    try:
        await store.get_verified(key, size_bytes=event.size_bytes, sha256=event.sha256)
    except (IntegrityError, ObjectMissingError) as error:
        log_ignored(key, str(error))
        return None
    return event


async def stored_run_end(store: ObjectStore, camera: str, run: str) -> RunEnded | None:
    """Return the event in a run's end.json (one GET), or None if it is missing or invalid.

    Raises StoreError if S3 fails.
    """
    key = run_end_key(camera, run)
    try:
        event = parse(await store.get(key, 0, MAX_RUN_END_BYTES - 1))
    except ObjectMissingError:
        return None
    except InvalidEventError as error:
        log_ignored(key, str(error))
        return None
    if isinstance(event, RunEnded) and (event.camera, event.run) == (camera, run):
        return event
    log_ignored(key, "it is not the end of this run")
    return None


def log_ignored(key: str, reason: str) -> None:
    """Log why an object is not used."""
    log.warning("object ignored: %s", reason, extra={"key": key})
