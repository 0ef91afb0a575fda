"""The command `live`: a relay of the cloud asks for a feed, and again while someone watches."""

from domain.errors import ConfigError
from domain.link_messages import CommandMessage
from domain.live_stream import Feed
from edge_bridge.link.handler import Carry, CommandFailedError, CommandOutcome
from edge_bridge.live.manager import LiveManager
from edge_bridge.recorders import RecorderManager


def live_command(live: LiveManager, recorders: RecorderManager) -> Carry:
    """Return what carries it out."""

    async def carry(command: CommandMessage) -> CommandOutcome:
        camera = command.camera or ""
        feed: Feed = command.feed or "main"
        relay = command.relay or ""
        if command.switch == "off":
            live.hide(camera, feed, relay)
            return CommandOutcome("The live picture is off.")
        try:
            problem = live.show(camera, feed, relay)
        except ConfigError as error:
            raise CommandFailedError(str(error)) from None
        status = next((each for each in recorders.statuses if each.camera == camera), None)
        if not problem and status is not None and status.state != "recording":
            problem = f"The camera is not recorded now: {status.detail or status.state}."
        return CommandOutcome(problem)

    return carry
