"""A fleet of 20 simulated devices goes through rings, with each bad version in the middle."""

from pathlib import Path

import pytest

from harness.update_fleet import ODD, UpdateFleet
from tests.integration.catalog_support import fresh_catalog

pytestmark = pytest.mark.updates


async def test_bad_versions_leave_each_device_on_the_old_one(services, tmp_path: Path) -> None:
    dsn = services.settings.database_url.get_secret_value()
    async with fresh_catalog(dsn) as catalog, UpdateFleet(catalog, tmp_path).running() as fleet:
        good = await fleet.roll_out()
        assert (good.state, good.states) == ("finished", {"succeeded": 20}), good.reason
        assert good.recording == {"release 2": 20}
        rings = [each["ring"] for each in good.events if each["state"] == "succeeded"]
        assert rings == sorted(rings, key=("lab", "canary", "early", "rest").index)
        assert [rings.count(ring) for ring in ("lab", "canary", "early", "rest")] == [2, 3, 2, 13]

        odd = await fleet.roll_out("odd")
        assert odd.state == "halted"
        assert odd.reason.startswith("1 of ")
        assert f"{ODD}: returned: the new version does not run" in odd.reason
        assert odd.recording == {"release 2": 20}
        assert odd.states["returned"] >= 3  # lab was rolled back, the odd one returned by itself

        for fault, ends, why in (
            ("crashes", "returned", "the new version does not run"),
            ("records-nothing", "returned", "it records 0 of the 2 cameras that recorded before"),
            ("cannot-upload", "returned", "it cannot upload, and the cloud is reachable"),
            ("corrupt", "failed", "the image is damaged"),
            ("wrong-signature", "refused", "unknown-key: "),
        ):
            bad = await fleet.roll_out(fault)
            assert bad.state == "halted", fault
            assert "devices of lab have a fault after the update (the limit is 0 %)" in bad.reason
            assert f"{ends}: {why}" in bad.reason
            assert bad.recording == {"release 2": 20}, fault
            rings = {each["ring"] for each in bad.events if each["state"] == ends}
            assert "lab" in rings

        last = await fleet.roll_out()
        assert (last.state, last.recording) == ("finished", {"release 9": 20})
