"""From a model card to the layout that decodes its output."""

from typing import assert_never

from vision.card import (
    DetrOutput,
    FastestDetOutput,
    ModelCard,
    NmsOutput,
    Yolov8Output,
    YoloxOutput,
)
from vision.layouts.base import Layout
from vision.layouts.detr import Detr
from vision.layouts.end_to_end import EndToEnd
from vision.layouts.fastestdet import FastestDet
from vision.layouts.yolov8 import Yolov8
from vision.layouts.yolox import Yolox


def layout_for(card: ModelCard) -> Layout:
    """Return the layout of the card's output."""
    input_spec, classes = card.input, len(card.names)
    match card.output:
        case FastestDetOutput() as spec:
            return FastestDet(spec, input_spec, classes)
        case YoloxOutput() as spec:
            return Yolox(spec, input_spec, classes)
        case Yolov8Output() as spec:
            return Yolov8(spec, input_spec, classes)
        case DetrOutput() as spec:
            return Detr(spec, input_spec, classes)
        case NmsOutput() as spec:
            return EndToEnd(spec, input_spec, classes)
        case other:
            assert_never(other)
