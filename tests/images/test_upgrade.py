"""An upgrade of the chart's containers under load, and the roll-back: nothing lost or doubled.

The pauses are measured by `vigil bench upgrade`: here no time is asserted.
"""

import asyncio
from pathlib import Path

import pytest

from harness.chart_release import ChartRelease
from harness.environment import services
from harness.upgrade.upgrade import SETTINGS, Upgrade, next_version
from tests.images.conftest import Images

pytestmark = pytest.mark.images
SEED = 20_261_130
ONE_EACH = dict.fromkeys(
    ("relay", "assembler", "healer", "joiner", "indexer", "web", "link"), 1
)  # fmt: skip


@pytest.mark.timeout(1_800)
def test_an_upgrade_and_a_rollback_lose_and_double_nothing(images: Images, tmp_path: Path) -> None:
    with services(tmp_path / "stack", SETTINGS) as stack:
        release = ChartRelease(images.engine, stack, tmp_path / "release", SETTINGS)
        image = images.name("vigil-cloud")
        upgrade = Upgrade(
            release, next_version(images.engine, image), image, 4, SEED, replicas=ONE_EACH
        )
        figures = asyncio.run(upgrade.run(limit_s=1_500))
    assert figures["clean"], figures
    assert "rollback_took_s" in figures, figures
    assert figures["fragments"] > 20, figures
