"""What a recorder wrote to S3 of a fragment or a run's end. Where notices disagree, it decides.

An object counts only if its signature permits that (`signatures`). Without such a check it counts
as it is: right only where its content is compared with an event that was checked before.
"""

import logging
from typing import Protocol

from pydantic import ValidationError

from domain.device_identity import SIGNATURE, SignatureError
from domain.errors import IntegrityError, InvalidEventError, ObjectMissingError
from domain.events import FragmentArrived, RunEnded, encode, parse
from domain.identity import fragment_key, run_end_key
from stores.objects import ObjectStore

log = logging.getLogger(__name__)
MAX_RUN_END_BYTES = 1 << 20
"""A message of the queue has less, and end.json is sent as one."""


class ObjectSignatures(Protocol):
    """Checks who signed what an object says."""

    async def check_object(
        self, event: FragmentArrived | RunEnded, body: bytes, signature: str | None
    ) -> None:
        """Raise SignatureError if the signature does not permit it; StoreError if that fails."""


async def stored_fragment(
    store: ObjectStore, key: str, signatures: ObjectSignatures | None = None
) -> FragmentArrived | None:
    """Return the event in an object's metadata (one HEAD), or None if it is missing or invalid.

    Key and size must be those of the object, and so must the SHA-256 where the store has computed
    it. Raises StoreError if S3 fails.
    """
    try:
        return await signed_fragment(store, key, signatures)
    except SignatureError as error:
        log_ignored(key, str(error))
        return None


async def signed_fragment(
    store: ObjectStore, key: str, signatures: ObjectSignatures | None = None
) -> FragmentArrived | None:
    """As `stored_fragment`, but raises SignatureError where only the signature is wrong."""
    try:
        head = await store.head(key)
        metadata = dict(head.metadata)
        signature = metadata.pop(SIGNATURE, None)
        event = FragmentArrived.from_metadata(metadata)
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
    if signatures is not None:
        await signatures.check_object(event, encode(event), signature)
    return event


async def whole_fragment(
    store: ObjectStore, key: str, signatures: ObjectSignatures | None = None
) -> FragmentArrived | None:
    """Return what `stored_fragment` returns, only if the object's bytes have the SHA-256 named.

    A HEAD, and a GET where the store has not computed the SHA-256. Raises StoreError if S3 fails.
    """
    event = await stored_fragment(store, key, signatures)
    if event is None or (await store.head(key)).sha256 == event.sha256:
        return event
    try:
        await store.get_verified(key, size_bytes=event.size_bytes, sha256=event.sha256)
    except (IntegrityError, ObjectMissingError) as error:
        log_ignored(key, str(error))
        return None
    return event


async def stored_run_end(
    store: ObjectStore,
    camera: str,
    run: str,
    signatures: ObjectSignatures | None = None,
    *,
    known: RunEnded | None = None,
) -> RunEnded | None:
    """Return the event in a run's end.json (one GET), or None if it is missing or invalid.

    `known`: a notice that was checked before. If the object says the same, it needs no signature.
    Raises StoreError if S3 fails.
    """
    key = run_end_key(camera, run)
    try:
        body, metadata = await store.get_with_metadata(key, MAX_RUN_END_BYTES)
        event = parse(body)
        if not isinstance(event, RunEnded) or (event.camera, event.run) != (camera, run):
            raise InvalidEventError("it is not the end of this run")
        if signatures is not None and event != known:
            await signatures.check_object(event, body, metadata.get(SIGNATURE))
    except ObjectMissingError:
        return None
    except InvalidEventError as error:  # a SignatureError, too
        log_ignored(key, str(error))
        return None
    return event


def log_ignored(key: str, reason: str) -> None:
    """Log why an object is not used."""
    log.warning("object ignored: %s", reason, extra={"key": key})
