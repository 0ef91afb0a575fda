"""A running inference server for tests, with tiny models, and a client of its pictures."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.serve import running_server
from inference.settings import InferenceSettings
from tests.unit.vision import models

YOLOV8 = {"layout": "yolov8"}


def write_model(
    folder: Path, name: str, output: Mapping[str, Any] = YOLOV8, **changes: Any
) -> Path:
    """Write the model that sees colours (tests/unit/vision/models.py), and its card."""
    folder = folder / name
    folder.mkdir(parents=True)
    models.write_seeing(folder / "model.onnx")
    return models.write_card(folder, output, name=name, **changes)


def picture(blue: int, green: int, red: int, size: tuple[int, int] = (64, 64)) -> bytes:
    """Return a PNG of one colour; `size`: width, height."""
    found, encoded = cv2.imencode(".png", np.full((*size[::-1], 3), (blue, green, red), np.uint8))
    assert found
    return encoded.tobytes()


def tensor(value: float, rows: int = 1) -> NDArray[Any]:
    """Return the input of the tiny model, one value everywhere."""
    return np.full((rows, 3, models.HEIGHT, models.WIDTH), value, np.float32)


@asynccontextmanager
async def serving(*cards: Path, **settings: Any) -> AsyncIterator[str]:
    """Serve cards inside the block; yields the address."""
    values: Mapping[str, Any] = {"port": 0, "models": ",".join(map(str, cards)), "runners": 2}
    async with running_server(InferenceSettings(**{**values, **settings})) as port:
        yield f"http://127.0.0.1:{port}"
