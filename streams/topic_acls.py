"""Which Kafka user may do what: the relay alone writes what sites say, and no site has a user.

A worker does not check an event's signature again: the relay did. So Kafka must refuse other
writers. The broker needs an authorizer, and must deny what no ACL allows
(`allow.everyone.if.no.acl.found=false`). docs/how-to/operate.md has the list for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest

from domain.errors import StoreError
from streams import topics
from streams.settings import Settings
from streams.topic_admin import admin
from streams.topics import TopicSpec

AclRole = Literal["acl-admin", "relay", "workers", "web", "link", "operator"]
FROM_SITES = (topics.FRAGMENT_ARRIVED, topics.DETECTION, topics.HEARTBEAT)
"""Topics of events that sites send."""
CLUSTER_NAME = "kafka-cluster"
"""The one name that Kafka's ACLs of the cluster have."""
_ALLOW = 3
_ANY_HOST = "*"


class AclResource(IntEnum):
    """What an ACL is about, by Kafka's code."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4


class AclPattern(IntEnum):
    """How an ACL's name is compared, by Kafka's code."""

    LITERAL = 3
    PREFIXED = 4


class AclOperation(IntEnum):
    """What an ACL allows, by Kafka's code."""

    READ = 3
    WRITE = 4
    CREATE = 5
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11


@dataclass(frozen=True, slots=True)
class Acl:
    """One thing that a user may do."""

    resource: AclResource
    name: str
    operation: AclOperation
    pattern: AclPattern = AclPattern.LITERAL

    def __str__(self) -> str:
        star = "*" if self.pattern is AclPattern.PREFIXED else ""
        return f"{self.operation.name:<16} {self.resource.name.lower():<7} {self.name}{star}"


def acls_of(role: AclRole, settings: Settings) -> list[Acl]:
    """Return what the user of a role may do, and nothing else."""
    write = [AclOperation.DESCRIBE, AclOperation.WRITE]
    read = [AclOperation.DESCRIBE, AclOperation.READ]
    match role:
        case "acl-admin":
            # MSK knows no super users: without this, no user changes ACLs once they are enforced.
            return [
                Acl(AclResource.CLUSTER, CLUSTER_NAME, operation)
                for operation in (AclOperation.ALTER, AclOperation.DESCRIBE)
            ]
        case "relay":
            return _on(FROM_SITES, write, settings)
        case "web":
            return _on([topics.EDGE_COMMAND], write, settings)
        case "link":
            return _on([topics.EDGE_COMMAND], read, settings)
        case "workers":
            use = [*read, AclOperation.WRITE, AclOperation.DESCRIBE_CONFIGS]
            tables = [*use, AclOperation.CREATE, AclOperation.ALTER_CONFIGS]
            return [
                *_on(topics.TOPICS, use, settings),
                # The changelogs of the tables, and the groups: Faust names both after the app.
                *(_of_app(AclResource.TOPIC, each, settings) for each in tables),
                *(_of_app(AclResource.GROUP, each, settings) for each in read),
            ]
        case "operator":
            manage = [
                *read, AclOperation.WRITE, AclOperation.CREATE, AclOperation.ALTER,
                AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS,
            ]  # fmt: skip
            return [
                *_on(topics.TOPICS, manage, settings),
                *(_of_app(AclResource.TOPIC, each, settings) for each in manage),
                *(_of_app(AclResource.GROUP, each, settings) for each in read),
            ]


def _on(
    specs: Sequence[TopicSpec], operations: Sequence[AclOperation], settings: Settings
) -> list[Acl]:
    return [
        Acl(AclResource.TOPIC, spec.name_for(settings), operation)
        for spec in specs
        for operation in operations
    ]


def _of_app(resource: AclResource, operation: AclOperation, settings: Settings) -> Acl:
    return Acl(resource, settings.app_prefix, operation, AclPattern.PREFIXED)


async def allow(user: str, acls: Sequence[Acl], settings: Settings) -> None:
    """Add ACLs for a user; one that exists is not an error. Raises StoreError if Kafka refuses."""
    async with admin(settings, 10.0) as client:
        try:
            for acl in acls:
                answer: Any = await client._send_request(
                    CreateAclsRequest(
                        acl.resource,
                        acl.name,
                        acl.pattern,
                        f"User:{user}",
                        _ANY_HOST,
                        acl.operation,
                        _ALLOW,
                    )
                )
                for code, text in answer.creation_responses:
                    if code:
                        raise for_code(code)(text)
        except (KafkaError, OSError) as error:
            raise StoreError(
                f"Kafka did not add an ACL for {user}: {error!r}. The broker needs an authorizer, "
                "and this program's user the right to change ACLs: `vigil topics acls acl-admin`."
            ) from error
