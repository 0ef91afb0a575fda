"""Every card in the how-to is a card."""

import re
from pathlib import Path

import pytest
import yaml

from edge_bridge.config.inference import InferenceConfig
from vision.card import ModelCard
from vision.layouts.factory import layout_for

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "models.md"
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)]
CARDS = [block for block in BLOCKS if "output" in block]


def test_each_layout_has_its_example() -> None:
    layouts = {card["output"]["layout"] for card in CARDS}
    assert layouts == {"fastestdet", "yolox", "yolov8", "detr", "nms"}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card["name"])
def test_the_examples_are_cards(tmp_path: Path, card: dict[str, object]) -> None:
    (tmp_path / "coco.names").write_text("person\nbicycle\ncar\ntruck\n")
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    loaded = ModelCard.load(tmp_path / "card.yaml")
    assert layout_for(loaded) is not None
    assert loaded.path.parent == tmp_path


def test_the_example_of_the_edge_is_a_configuration() -> None:
    [edge] = [block["inference"] for block in BLOCKS if "inference" in block]
    assert InferenceConfig.model_validate(edge).motion.masks_of("acme/north/door")


def test_every_key_of_the_input_is_documented() -> None:
    from vision.card import InputSpec

    page = PAGE.read_text()
    assert [key for key in InputSpec.model_fields if f"input.{key}`" not in page] == []
