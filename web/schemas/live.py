"""Live pictures, as the socket of a camera takes and sends them."""

from typing import Literal

from pydantic import Field

from domain.live_stream import Feed
from web.live.picture import LiveDetections, LiveFormat
from web.schemas.base import ApiAnswer, ApiQuery


class LiveQuery(ApiQuery):
    """Which of a camera's feeds is watched."""

    feed: Feed = Field("main", description="`sub`: the small one, where the camera has one.")


class LiveEndMessage(ApiAnswer):
    """The last message: why the picture ends."""

    type: Literal["end"] = Field("end", description="Which message it is.")
    code: str = Field(description="For programs, such as `device-offline`.")
    reason: str = Field(description="For people.")


LIVE_MODELS = (LiveFormat, LiveDetections, LiveEndMessage)
