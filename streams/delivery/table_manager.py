"""Tables start as soon as all agents listen, without sleeping.

Faust sleeps a second there, so that all agents listen before the first subscription: an agent that
listens later waits 45 s for its topic.
"""

import asyncio
from typing import Any

from streams.delivery.faust_private import TableManagerBase
from streams.delivery.table_recovery import CheckedRecovery

AGENTS_TIMEOUT_S = 5.0
"""How long agents may take until they listen; then the tables start without them."""
CHECK_EVERY_S = 0.01


class TableManager(TableManagerBase):
    """Faust's, which starts as soon as all agents listen, and reports changelogs cut short."""

    def make_recovery(self) -> CheckedRecovery:
        """Return the recovery of the tables."""
        return CheckedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)

    async def ready_to_start(self) -> None:
        """Wait for the agents."""
        deadline_s = asyncio.get_running_loop().time() + AGENTS_TIMEOUT_S
        while not self.agents_listen() and not self.should_stop:
            if asyncio.get_running_loop().time() > deadline_s:
                self.log.warning("Some agents have not subscribed to their topics yet")
                break
            await self.sleep(CHECK_EVERY_S)

    def agents_listen(self) -> bool:
        """Say whether the topics of all agents are to be subscribed to."""
        heard = {name for channel in self.app.topics for name in _names(channel)}
        return all(heard.issuperset(_names(agent.channel)) for agent in self.app.agents.values())


def _names(channel: Any) -> list[str]:
    """Return the topics behind a channel; one in memory has none."""
    return list(getattr(channel, "topics", None) or ())
