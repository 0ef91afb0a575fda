"""`vigil model evaluate`: how good a detector is on a labelled set."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from vision.coco_dataset import LabelledSet
    from vision.detector import BgrImage, DetectedObject, Detector

LEAST_SCORE = 0.001
"""AP is over all scores; below this one a model says nothing."""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `model evaluate`."""
    verb = verbs.add_parser(
        "evaluate",
        help="compare a detector with a labelled set in COCO's format",
        description="Prints one JSON object: COCO's average precision, and precision, recall and "
        "false alarms an hour at the card's own threshold, with intervals of 95 %.",
    )
    verb.add_argument("--model", required=True, type=Path, help="card of the model")
    verb.add_argument("--dataset", required=True, type=Path, help="COCO's JSON file")
    verb.add_argument("--pictures", type=Path, help="folder of its pictures (default: the file's)")
    verb.add_argument("--report", type=Path, help="also write a page with the worst pictures")
    verb.add_argument("--provider", default="cpu", help="execution provider (default cpu)")
    verb.add_argument(
        "--rate",
        type=float,
        default=1.0,
        help="analysed pictures a second, for false alarms an hour (default 1)",
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate; print the figures, and write the page."""
    # Imported here: these packages are not part of each installation.
    from vision.card import ModelCard  # noqa: PLC0415
    from vision.coco_dataset import load_coco  # noqa: PLC0415
    from vision.evaluation import evaluate  # noqa: PLC0415
    from vision.evaluation_page import evaluation_page, worst_pictures  # noqa: PLC0415
    from vision.onnx_detector import OnnxDetector  # noqa: PLC0415

    if not 0 < args.rate <= 100:
        raise ConfigError("--rate must be above 0 and at most 100.")
    dataset = load_coco(args.dataset, args.pictures)
    card = ModelCard.load(args.model)
    threshold = card.thresholds.score
    detector = OnnxDetector(card.with_score(LEAST_SCORE), providers=(args.provider,))
    unknown = set(dataset.labels) - set(card.names)
    if unknown == set(dataset.labels):
        raise ModelError(
            f"None of the dataset's labels ({', '.join(sorted(unknown)[:5])}) is a label of "
            f"{args.model}."
        )
    found = _detect(detector, dataset)
    evaluation = evaluate(dataset, found, threshold=threshold, pictures_s=args.rate)
    if args.report is not None:
        title = f"{card.name} {card.version} on {args.dataset.name}"
        shown = [
            (number, _read(dataset.pictures[number].path), found[number])
            for number in worst_pictures(evaluation)
        ]
        args.report.write_text(evaluation_page(title, evaluation, dataset, shown))
    figures = asdict(evaluation)
    del figures["by_picture"]
    print(
        json.dumps(
            {"model": card.name, "model_version": card.version, **figures,
             "labels_unknown_to_model": sorted(unknown)}
        )
    )  # fmt: skip
    return 0


def _detect(detector: "Detector", dataset: "LabelledSet") -> "list[list[DetectedObject]]":
    found: list[list[DetectedObject]] = []
    for first in range(0, len(dataset.pictures), detector.batch):
        batch = dataset.pictures[first : first + detector.batch]
        pictures = [_read(one.path) for one in batch]
        for one, picture in zip(batch, pictures, strict=True):
            if picture.shape[:2] != (one.height, one.width):
                raise ModelError(
                    f"Picture {one.path} has {picture.shape[1]} x {picture.shape[0]} pixels; the "
                    f"dataset says {one.width} x {one.height}."
                )
        found += detector.detect(pictures)
    return found


def _read(path: Path) -> "BgrImage":
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ModelError(f"Picture {path} cannot be read: {error.strerror}.") from None
    # Boxes are of the picture as it is stored: without a turn that its metadata asks for.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(data, flags) if len(data) else None
    if picture is None:
        raise ModelError(f"Picture {path} cannot be decoded.")
    return np.asarray(picture, np.uint8)
