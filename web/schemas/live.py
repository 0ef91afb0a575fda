"""Live pictures, as the socket of a camera takes and sends them."""

from pydantic import Field

from domain.live_stream import Feed
from web.live.picture import LiveDetections, LiveFormat
from web.schemas.base import ApiAnswer, ApiQuery


class LiveQuery(ApiQuery):
    """Which of a camera's feeds is watched."""

    feed: Feed = Field("main", description="`sub`: the small one, where the camera has one")


class LiveEndMessage(ApiAnswer):
    """The last message: why the picture ends."""

    type: str = Field(description="`end`", examples=["end"])
    code: str = Field(description="for programs, such as `device-offline`")
    reason: str = Field(description="for people")


LIVE_MODELS = (LiveFormat, LiveDetections, LiveEndMessage)
