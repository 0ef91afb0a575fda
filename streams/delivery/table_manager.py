"""Starting without waiting for nothing: what Faust does by sleeping, done when it can be done.

Private parts of Faust 0.15.3 and aiokafka 0.14.0 this stands on, and why:
  TableManager._recovery                     made on first use: ours stands there before
  TableManager.on_start, _update_channels    Faust sleeps a second there, so that all agents listen
                                             before the first subscription: a later one waits 45 s
  AIOKafkaConsumer._fetch_max_wait_ms        read when the client is started
"""

import asyncio
from typing import Any

import faust.tables

from streams.delivery.table_recovery import CheckedRecovery

AGENTS_TIMEOUT_S = 5.0
"""How long agents may take until they listen; then the tables start without them."""
CHECK_EVERY_S = 0.01
FETCH_WAIT_MS = 100
"""How long the broker holds a fetch back for which nothing has come yet.

Other questions to the same broker wait behind it on the same connection: where logs end and begin,
two of which a recovery asks. Faust says 1,500.
"""


class TableManager(faust.tables.TableManager):
    """Faust's, which starts as soon as all agents listen, and tells of changelogs cut short."""

    _recovery: Any = None

    @property
    def recovery(self) -> Any:
        """The recovery of the tables."""
        if self._recovery is None:
            self._recovery = CheckedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Wait for the agents, then declare the tables and start their recovery."""
        deadline_s = asyncio.get_running_loop().time() + AGENTS_TIMEOUT_S
        while not self.agents_listen() and not self.should_stop:
            if asyncio.get_running_loop().time() > deadline_s:
                self.log.warning("Some agents do not listen to their topics yet")
                break
            await self.sleep(CHECK_EVERY_S)
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    def agents_listen(self) -> bool:
        """Say whether the topics of all agents are to be subscribed to."""
        heard = {name for channel in self.app.topics for name in _names(channel)}
        return all(heard.issuperset(_names(agent.channel)) for agent in self.app.agents.values())


def _names(channel: Any) -> list[str]:
    """Return the topics behind a channel; one in memory has none."""
    return list(getattr(channel, "topics", None) or ())


def shorten_fetch_wait(consumer: Any) -> None:
    """Let no question to the broker wait long behind a fetch; before the client is started."""
    consumer._fetch_max_wait_ms = FETCH_WAIT_MS
