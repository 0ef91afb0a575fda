"""The first ACLs, in the order of docs/how-to/install.md, on a broker like MSK: no super users."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from domain.errors import StoreError
from local.certificates import Certificates
from local.folder import DataFolder
from local.kafka import Kafka
from local.ports import Ports
from streams.settings import Settings
from streams.topic_acls import AclRole, acls_of, allow
from streams.topic_admin import ensure
from streams.topics import TOPICS

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs/how-to/install.md"
USERS = {"admin": "operator", "worker": "workers", "relay": "relay", "link": "link"}
"""The page's users, by the names that the broker of this machine has for them."""


class ManagedKafka(Kafka):
    """As MSK configures it: its own brokers are super users, and no user of ours."""

    acls_exist = False

    def _secure(self) -> str:
        lines = super()._secure().replace("User:vigil;", "")
        assert "super.users=User:ANONYMOUS\n" in lines
        return lines.replace(
            "allow.everyone.if.no.acl.found=false",
            f"allow.everyone.if.no.acl.found={str(not self.acls_exist).lower()}",
        )


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[ManagedKafka]:
    folder = DataFolder(tmp_path / "data")
    folder.open()
    broker = ManagedKafka(folder, Ports(folder), lambda *_: None)
    broker.certificates = Certificates(tmp_path / "tls")
    broker.certificates.make()
    broker.launch()
    try:
        broker.wait()
        yield broker
    finally:
        broker.process.stop()
        folder.close()


def settings_of(kafka: ManagedKafka, user: str) -> Settings:
    given: dict[str, Any] = {
        name.removeprefix("VIGIL_").lower(): value for name, value in kafka.settings().items()
    }
    return Settings.model_validate({**given, "kafka_username": user, "partitions": 1})


async def test_who_gave_the_first_acls_can_give_more_once_they_are_enforced(
    kafka: ManagedKafka,
) -> None:
    listed = re.findall(r"^ +vigil topics acls (\S+) --allow (\S+)$", PAGE.read_text(), re.M)
    assert {user for _, user in listed} == set(USERS)
    admin, relay = settings_of(kafka, "operator"), settings_of(kafka, "relay")
    await ensure(TOPICS, settings=admin)  # the migration runs before there is any ACL
    for role, user in listed:
        await allow(USERS[user], acls_of(cast(AclRole, role), admin), admin)
    with pytest.raises(StoreError, match="vigil topics acls acl-admin"):
        await allow("relay", acls_of("operator", relay), relay)

    kafka.process.stop()
    kafka.acls_exist = True
    kafka.launch()
    kafka.wait()

    shorter = admin.model_copy(update={"retention_hours": admin.retention_hours - 1})
    with pytest.raises(StoreError, match="AuthorizationFailed"):
        await ensure(TOPICS, settings=settings_of(kafka, "web"))
    await allow("web", acls_of("operator", admin), admin)
    assert "corrected" in {
        each.did
        for each in await ensure(
            TOPICS, settings=shorter.model_copy(update={"kafka_username": "web"})
        )
    }
    with pytest.raises(StoreError, match="ClusterAuthorizationFailed"):
        await allow("relay", acls_of("acl-admin", relay), relay)
