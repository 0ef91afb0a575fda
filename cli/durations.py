"""Lengths of time as people write them: 90s, 15m, 1h, 3d."""

import argparse
import re

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str) -> int:
    """Return milliseconds; for argparse, whose error it raises."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write 90s, 15m, 1h or 3d")
    return int(match[1]) * _UNITS[match[2]]
