"""A device of today gets an identity: no fragment is lost, and then its site refuses unsigned ones.

edge    static credentials, unsigned ──── enrolled while it records ──── restarted
site    warn ─────────────────────────────────────── refuse
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.device_identity import SignatureError
from domain.events import FragmentArrived
from tests.footage import write_clip
from tests.identity_site import IdentitySite, identity_site
from tests.waiting import wait_for


@pytest.fixture
async def site(services, tmp_path: Path, free_port: int) -> AsyncIterator[IdentitySite]:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, 250)
    url = f"{clip.as_uri()}?loop=1"
    name = f"acme/upgrade-{free_port}"
    async with identity_site(services, tmp_path, free_port, name, camera_url=url) as running:
        yield running


async def test_an_edge_of_today_is_enrolled_without_losing_a_fragment(
    site: IdentitySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[str] = []
    read = site.gate._sessions.read

    def counted(token: str) -> Any:
        tokens.append(token)
        return read(token)

    monkeypatch.setattr(site.gate._sessions, "read", counted)
    found: list[tuple[FragmentArrived, int | None]] = []

    async def announced_by(by: int | None, count: int) -> None:
        async def enough() -> bool:
            found.extend(await site.notices("warn"))
            return len([one for _, one in found if one == by]) >= count

        await wait_for(enough, within_s=60, what=lambda: f"{count} of {by}: {found}")

    async with site.edge() as edge:
        await announced_by(None, 2)
        assert tokens == []  # its own credentials
        run = found[0][0].run
        await site.enrol()
        await announced_by(1, 2)
        assert tokens  # the ones that the cloud gave
        assert edge.parts.recorders.statuses[0].state == "recording"
    found.extend(await site.notices("warn"))
    announced = [event.seq for event, _ in found if event.run == run]
    assert sorted(announced) == list(range(len(announced)))  # none is missing, none comes twice
    order = [by for event, by in sorted(found, key=lambda one: one[0].seq)]
    first = order.index(1)
    assert set(order[:first]) == {None}
    # From now on the site refuses unsigned ones. The device starts again, and goes on.
    async with site.edge():

        async def signed() -> bool:
            found.extend(await site.notices("refuse"))
            return len({event.run for event, _ in found}) == 2

        await wait_for(signed, within_s=60, what="a signed run")
    assert {by for event, by in found if event.run != run} == {1}
    # An edge that was not enrolled would be refused.
    (site.config.identity_folder / "identity.json").unlink()
    async with site.edge():

        async def refused() -> bool:
            try:
                await site.notices("refuse")
            except SignatureError as error:
                return error.code == "unsigned"
            return False

        await wait_for(refused, within_s=60, what="an unsigned event is refused")
