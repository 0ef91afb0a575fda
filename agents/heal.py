"""The healer's stage: heal requests in, unannounced fragments out: `faust -A agents.heal worker`.

It is a stage of its own, so that a slow S3 does not delay the assembler.
"""

import logging

from prometheus_client import Counter

from agents.healing.healer import Healer
from agents.signatures.checker import SignatureChecker
from domain.errors import InvalidEventError
from domain.events import AnyEvent, Healed, HealRequested
from domain.times import utc_ms
from streams import codec, topics
from streams.app import worker_app
from streams.codec import Record
from streams.handlers import handles
from streams.metrics import REGISTRY
from streams.storage import catalog, object_store

log = logging.getLogger(__name__)
HEALED = Counter(
    "vigil_fragments_healed", "Fragments found in S3 that no event announced", registry=REGISTRY
)

app = worker_app("heal")
store = object_store(app.settings)
index = catalog(app.settings)
signatures = SignatureChecker.of(index.get)


@handles(app, topics.HEAL_REQUESTED, isolated=True)
async def heal(event: AnyEvent, record: Record) -> None:
    """List S3, send the unannounced fragments, then `healed`; start again if S3 or Kafka fails."""
    if not isinstance(event, HealRequested):
        raise InvalidEventError(f"type: {event.type} is not a heal request")

    async def attempt() -> None:
        healer = Healer(await store.get(), utc_ms, await index.get(), signatures)
        async for found in healer.heal(event):
            await codec.send(app, found)
            if isinstance(found, Healed):
                HEALED.inc(found.found)
                log.info("healed", extra={"found": found.found})

    await app.retry(attempt, what="heal")
