"""A camera with footage that retention is to judge, and a way to die anywhere in its work."""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agents.retention.deletion_stats import DeletionStats
from agents.retention.retention_pass import RetentionPass
from domain.events import ChunkComplete, Deleted
from domain.retention import DAY_MS, Margins, RetentionRule
from stores.catalog import add_camera
from stores.catalog import retention as book
from stores.catalog.retention_rules import set_rule
from tests.integration.consistency_support import START_MS, Place, Sent, now_ms
from tests.recorder import Recorder

MARGINS = Margins(3_600_000, 3_600_000)
SOON_MS = 2 * 3_600_000
"""Beyond the margins, on the clock on which the rows were indexed."""


class Died(BaseException):
    """The process ends here, as by kill -9."""


@dataclass
class Mortal:
    """Counts the steps of a pass, and dies before or after one of them."""

    dies_at: int = -1
    steps: int = 0

    def step(self) -> None:
        if self.steps == self.dies_at:
            raise Died
        self.steps += 1

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(*given: Any, **more: Any) -> Any:
            self.step()
            result = await function(*given, **more)
            self.step()
            return result

        return wrapped


class MortalStore:
    """An object store whose deletions may be the last thing that happens, or go half through."""

    def __init__(self, store: Any, mortal: Mortal) -> None:
        self._store, self._mortal = store, mortal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def delete(self, keys: list[str]) -> None:
        self._mortal.step()
        await self._store.delete(keys[: len(keys) // 2])
        self._mortal.step()
        await self._store.delete(keys)
        self._mortal.step()


async def another(at: Place, site: str = "") -> Place:
    """Return another camera in the same bucket and catalog."""
    camera = f"acme/{site or uuid.uuid4().hex[:8]}/gate"
    await add_camera(at.catalog, camera, camera, 0)
    return replace(at, camera=camera, sent=Sent())


async def enforce(
    at: Place,
    *,
    later_ms: int = SOON_MS,
    mortal: Mortal | None = None,
    monkeypatch: Any = None,
    dry: bool = False,
) -> DeletionStats:
    """Do one pass over the camera at `now + later_ms`."""
    mortal = mortal or Mortal()
    store: Any = MortalStore(at.store, mortal)
    sender: Any = Sent(at.sent.events)
    sender.send = mortal.wrap(sender.send)
    if monkeypatch is not None:
        for name in ("record_tombstones", "remove_completed"):
            true = getattr(book, name)
            monkeypatch.setattr(book, name, mortal.wrap(getattr(true, "true", true)))
            getattr(book, name).true = getattr(true, "true", true)  # type: ignore[attr-defined]
    pass_ = RetentionPass(
        store, at.catalog, None if dry else sender, MARGINS, lambda: now_ms() + later_ms
    )
    return await pass_.run([at.camera])


async def aged(at: Place, days: int = 1) -> None:
    """Let the camera's footage be kept for so many days; START_MS is long ago."""
    assert START_MS + days * DAY_MS < now_ms()
    await set_rule(at.catalog, RetentionRule(at.camera, days), "tests", 0)


async def filmed(at: Place) -> tuple[Recorder, list[ChunkComplete]]:
    """Make three chunks of five, the second in two revisions, and two fragments without chunk."""
    recorder = Recorder(at.camera, START_MS, entropy=random.Random(at.camera).randbytes(10))
    for seq in range(17):
        await at.announce(await recorder.put(at.store, seq))
    chunks = [
        await at.join(recorder, range(5)),
        await at.join(recorder, [5, 6, 8, 9]),
        await at.join(recorder, range(10, 15)),
    ]
    return recorder, [chunks[0], chunks[1], await at.join(recorder, [7]), chunks[2]]


def sent_tombstones(at: Place) -> list[Deleted]:
    return [event for event in at.sent.events if isinstance(event, Deleted)]


def kinds(keys: list[str]) -> tuple[int, int]:
    """Count the fragments and the chunk objects (with manifests) among keys."""
    fragments = sum(key.startswith("fragments/") for key in keys)
    return fragments, len(keys) - fragments
