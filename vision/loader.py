"""From the name `hog` or a model card to a loaded detector."""

from collections.abc import Sequence
from pathlib import Path

from domain.errors import ModelError
from vision.card import CARD_SUFFIXES
from vision.detector import Detector
from vision.gpu import GpuOptions
from vision.hog import HogPeopleDetector

HOG = "hog"
"""The built-in people detector, which needs no file."""


def load_detector(
    model: str,
    *,
    providers: Sequence[str] = ("cpu",),
    fallback: bool = False,
    threads: int = 1,
    batch: int = 8,
    gpu: GpuOptions | None = None,
) -> Detector:
    """Load `hog`, or the model of a card; for an ONNX file, its card has the same name.

    Raises ModelError that says what does not fit; without `fallback` also where the first of
    `providers` is not the one that computes.
    """
    if model == HOG:
        return HogPeopleDetector(threads=threads)
    path = Path(model)
    if path.suffix == ".onnx":
        cards = [path.with_suffix(suffix) for suffix in CARD_SUFFIXES]
        path = next((card for card in cards if card.is_file()), path)
        if path.suffix == ".onnx":
            raise ModelError(
                f"Model {path} has no card. Write {cards[0]} as docs/how-to/models.md shows."
            )
    try:
        from vision.onnx_detector import load  # noqa: PLC0415 - the image of the cloud is without
    except ModuleNotFoundError as error:
        raise ModelError(
            f"ONNX Runtime is not installed here ({error.name} is missing). Use the image "
            "vigil-inference, or install vigil with the extra inference, edge or gpu."
        ) from error
    return load(path, providers=providers, fallback=fallback, threads=threads, batch=batch, gpu=gpu)
