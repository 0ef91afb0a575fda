"""The end of a chaos run: waiting until nothing is on its way, and asking those who know."""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.events import Healed, parse
from harness import lag
from harness.chaos import invariants as verdict
from harness.chaos.synthetic_cameras import Run
from harness.event_feeder import Entrance
from local.folder import project_root
from local.program import vigil
from stores.catalog import Catalog
from streams.settings import Settings
from streams.topics import DEAD_LETTER, FRAGMENT_ARRIVED

ASK_EVERY_S = 1.0
MANY = 10
"""Lines of `vigil fsck` that are shown."""


@dataclass
class Settling:
    """Waits for at most `give_up_s` after `ended_s` (monotonic), where the cameras ended."""

    settings: Settings
    ended_s: float
    give_up_s: float
    say: Callable[[str], None]

    @property
    def took_s(self) -> float:
        """Seconds since the cameras ended."""
        return round(time.monotonic() - self.ended_s, 1)

    async def no_lag(self, entrance: Entrance) -> float | None:
        """Return when nothing waited any more: in SQS, and in the topics as they ended then.

        None where that takes longer than allowed.
        """
        while await entrance.left_in_sqs():
            if self.took_s > self.give_up_s:
                self.say("messages are left in SQS")
                return None
            await asyncio.sleep(ASK_EVERY_S)
        until = await lag.ends(
            self.settings, {spec for each in lag.READS.values() for spec in each}
        )
        while any((left := await lag.lags(self.settings, until)).values()):
            if self.took_s > self.give_up_s:
                self.say(f"lag left: {left}")
                return None
            await asyncio.sleep(ASK_EVERY_S)
        return self.took_s

    async def counted(self, catalog: Catalog, runs: Sequence[Run]) -> verdict.Verdict:
        """Ask until everything is in chunks, or until it takes too long; return the last answer."""
        while True:
            found = await verdict.counted(catalog, runs)
            if found.clean or self.took_s > self.give_up_s:
                return found
            await asyncio.sleep(ASK_EVERY_S)

    async def fsck(self) -> str:
        """Run `vigil fsck --bytes`, too: return `clean`, or its last line."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *vigil("fsck", "--bytes", "--json", "--margin", "1s")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=project_root(),
        )
        output, _ = await process.communicate()
        lines = output.decode(errors="replace").splitlines()
        if process.returncode == 0:
            return "clean"
        for line in lines[:MANY]:
            self.say(f"fsck: {line}")
        return lines[-1][:500] if lines else f"exit code {process.returncode}"

    async def topics_say(self) -> tuple[int, int]:
        """Return how many fragments the healer found, and how many dead letters there are."""
        healed = 0
        async for value in lag.read(self.settings, FRAGMENT_ARRIVED):
            if b'"healed"' in value and isinstance(event := parse(value), Healed):
                healed += event.found
        dead = len([value async for value in lag.read(self.settings, DEAD_LETTER)])
        return healed, dead
