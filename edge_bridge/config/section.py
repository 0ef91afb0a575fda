"""What all sections of the configuration share."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


def _parse_bytes(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value.lower())
        if match is None or match[2] not in _UNITS:
            raise ValueError("write a number of bytes, or one with KiB, MiB, GiB or TiB")
        return int(float(match[1]) * _UNITS[match[2]])
    return value


ByteSize = Annotated[int, BeforeValidator(_parse_bytes)]


class ConfigSection(BaseModel):
    """Settings that belong together. Unknown keys are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)
