"""The report of an evaluation: one HTML file that needs nothing else."""

import base64
import html
from collections.abc import Sequence

import cv2
import numpy as np

from vision.coco_dataset import LabelledSet
from vision.detector import BgrImage, DetectedObject
from vision.evaluation import Estimate, Evaluation

WORST = 20
"""Pictures that are shown."""
_MAX_SIDE = 640
_TRUTH = (60, 180, 60)
_FOUND = (60, 60, 230)
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #8884 }
th:first-child, td:first-child { text-align: left }
figure { margin: 1.5rem 0 }
img { max-width: 100%; height: auto }
figcaption { opacity: .7 }
:root { color-scheme: light dark }
"""


def worst_pictures(evaluation: Evaluation) -> list[int]:
    """Return the numbers of the pictures with the most wrong and missed objects."""
    ranked = sorted(
        (-(one.wrong + one.missed), number)
        for number, one in enumerate(evaluation.by_picture)
        if one.wrong + one.missed
    )
    return [number for _, number in ranked[:WORST]]


def evaluation_page(
    title: str,
    evaluation: Evaluation,
    dataset: LabelledSet,
    shown: Sequence[tuple[int, BgrImage, Sequence[DetectedObject]]],
) -> str:
    """Return the page. `shown`: number, picture and detections of those to draw."""
    rows = "".join(
        f"<tr><td>{html.escape(one.label)}</td><td>{one.objects}</td><td>{_share(one.ap)}</td>"
        f"<td>{_share(one.ap50)}</td><td>{_share(one.precision)}</td>"
        f"<td>{_share(one.recall)}</td></tr>"
        for one in evaluation.labels
        if one.objects
    )
    figures = "".join(_figure(evaluation, dataset, *each) for each in shown)
    alarms = evaluation.false_alarms_hour
    precision = f"precision at {evaluation.threshold:g}"
    recall = f"recall at {evaluation.threshold:g}"
    false_alarms = f"false alarms an hour, at {evaluation.pictures_s:g} pictures a second"
    sizes = ", ".join(
        f"{name} {_share(value)}"
        for name, value in (
            ("small", evaluation.ap_small),
            ("medium", evaluation.ap_medium),
            ("large", evaluation.ap_large),
        )
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{html.escape(title)}</title><style>{_STYLE}</style>",
            f"<h1>{html.escape(title)}</h1>",
            f"<p>{evaluation.pictures} pictures, {evaluation.objects} objects.</p>",
            "<table><tr><th>figure</th><th>value</th><th>95 % from</th><th>to</th></tr>",
            _row("AP (IoU 0.50 to 0.95)", evaluation.ap),
            _row("AP50", evaluation.ap50),
            _row(precision, evaluation.precision),
            _row(recall, evaluation.recall),
            f"<tr><td>{false_alarms}</td><td>{_number(alarms.value)}</td>",
            f"<td>{_number(alarms.low)}</td><td>{_number(alarms.high)}</td></tr></table>",
            f"<p>AP by size of the object: {sizes}.</p>",
            "<h2>Labels</h2><table><tr><th>label</th><th>objects</th><th>AP</th><th>AP50</th>",
            f"<th>precision</th><th>recall</th></tr>{rows}</table>",
            "<h2>Worst pictures</h2><p>Green: the truth. Red: found.</p>",
            figures or "<p>None.</p>",
            "</html>",
        ]
    )


def _figure(
    evaluation: Evaluation,
    dataset: LabelledSet,
    number: int,
    picture: BgrImage,
    found: Sequence[DetectedObject],
) -> str:
    labelled, result = dataset.pictures[number], evaluation.by_picture[number]
    height, width = picture.shape[:2]
    canvas = picture.copy()
    across, down = width / labelled.width, height / labelled.height
    for one in labelled.objects:
        x, y, w, h = one.box
        _draw(canvas, (x * across, y * down, w * across, h * down), _TRUTH)
    for each in found:
        if each.score >= evaluation.threshold:
            x, y, w, h = each.box
            _draw(canvas, (x * width, y * height, w * width, h * height), _FOUND)
    scale = min(1.0, _MAX_SIDE / max(width, height))
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        canvas = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, jpeg = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 80])
    data = base64.b64encode(jpeg.tobytes()).decode()
    name = html.escape(labelled.path.name)
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{name}">'
        f"<figcaption>{name}: {result.right} right, {result.wrong} wrong, "
        f"{result.missed} missed</figcaption></figure>"
    )


def _draw(
    canvas: BgrImage, box: tuple[float, float, float, float], colour: tuple[int, int, int]
) -> None:
    x, y, width, height = (round(value) for value in box)
    cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, 2)


def _row(name: str, estimate: Estimate) -> str:
    return (
        f"<tr><td>{html.escape(name)}</td><td>{_share(estimate.value)}</td>"
        f"<td>{_share(estimate.low)}</td><td>{_share(estimate.high)}</td></tr>"
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
